"""Established connections from this machine to an address, as the kernel's tables say."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

ESTABLISHED = "01"
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def established_to(address: str, port: int, tables: tuple[Path, ...] = TABLES) -> int:
    """How many sockets of this machine (the router's) are connected to it. Those in TIME_WAIT carry nothing more."""
    # The kernel prints addresses as 32-bit words in the machine's own byte order.
    word = f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"
    marker = f"{struct.unpack('=I', bytes((0, 0, 255, 255)))[0]:08X}"
    remotes = {f"{word}:{port:04X}", f"{'0' * 16}{marker}{word}:{port:04X}"}
    count = 0
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except FileNotFoundError:  # no IPv6 on this machine
            continue
        for line in lines:
            fields = line.split()
            if fields[2] in remotes and fields[3] == ESTABLISHED:
                count += 1
    return count
