"""Port: builder. See port.py."""
