"""Port: runtime. See port.py."""
