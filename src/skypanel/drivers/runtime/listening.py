"""On which addresses something listens: for a failure report that compares them with PORT."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

LISTEN = "0A"
PROC = Path("/proc")


def in_namespace_of(pid: int) -> list[str]:
    """`address:port` of every TCP socket that listens in the network namespace of the process."""
    return sorted({place for place, _ in _sockets(PROC / str(pid) / "net")})


def of_session(session: int) -> list[str]:
    """The same for the processes of one session, in the namespace that all share."""
    mine = {inode for pid in _processes_of(session) for inode in _socket_inodes(pid)}
    return sorted({place for place, inode in _sockets(PROC / "net") if inode in mine})


def _sockets(tables: Path) -> Iterator[tuple[str, str]]:
    for name in ("tcp", "tcp6"):
        try:
            lines = (tables / name).read_text().splitlines()[1:]
        except OSError:  # the process ended, or the machine has no IPv6
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTEN:
                yield _place(fields[1]), fields[9]


def _place(text: str) -> str:
    """The kernel prints addresses as 32-bit words in the machine's own byte order, ports in hexadecimal."""
    address, _, port = text.partition(":")
    raw = b"".join(struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8))
    if len(raw) == 4:
        return f"{socket.inet_ntoa(raw)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{int(port, 16)}"


def _processes_of(session: int) -> Iterable[int]:
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            yield int(entry.name)


def _socket_inodes(pid: int) -> Iterable[str]:
    try:
        descriptors = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]
