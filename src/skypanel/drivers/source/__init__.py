"""Port: source. See port.py."""
