"""Everything that touches the outside. Each folder is one port: `port.py` in our own words, `memory.py` a complete
fake, and the real drivers. Knows no table. Only `wiring` names concrete drivers."""
