"""Port: logstore. See port.py."""
