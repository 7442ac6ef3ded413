"""Port: router. See port.py."""
