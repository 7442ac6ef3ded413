"""A file that others append to, rotate and truncate, read line by line from a known place."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import NamedTuple

CHUNK = 262_144
_FINGERPRINT_BYTES = 64


class RawLine(NamedTuple):
    text: bytes  # without its newline
    start: int
    end: int


def whole_lines(data: bytes, start: int) -> list[RawLine]:
    lines = []
    for text in data.split(b"\n")[:-1]:
        lines.append(RawLine(text, start, start + len(text) + 1))
        start += len(text) + 1
    return lines


class TailedFile:
    """One inode behind a path, kept open so that a rotation loses nothing. Raises OSError."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._first = b""
        self._inode = os.fstat(self._fd).st_ino
        self.offset = 0

    def identity(self, *, complete: bool) -> str | None:
        """What tells this file from another of the same name, once it holds enough (or all that it ever will)."""
        head = os.pread(self._fd, _FINGERPRINT_BYTES, 0)
        if not head or (b"\n" not in head and len(head) < _FINGERPRINT_BYTES and not complete):
            return None
        self._first = head.split(b"\n", 1)[0]
        return f"{self._inode}.{zlib.crc32(self._first):08x}"

    def replaced(self) -> bool:
        """Another file has taken the path, or this one was cut and begins anew."""
        try:
            now = os.stat(self.path)  # noqa: PTH116 (on the path of every wake)
        except FileNotFoundError:
            return False
        if now.st_ino != self._inode:
            return True
        return now.st_size < self.offset or os.pread(self._fd, len(self._first), 0) != self._first

    def truncated(self) -> bool:
        return os.fstat(self._fd).st_size < self.offset or os.pread(self._fd, len(self._first), 0) != self._first

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, *, complete: bool = False) -> list[RawLine]:
        """The next whole lines, some 256 KB at most. A line longer than that comes in pieces; `complete` says that no
        more will come, so that a last line without newline counts."""
        data = os.pread(self._fd, CHUNK, self.offset)
        end = data.rfind(b"\n") + 1
        if end == 0 and (len(data) == CHUNK or (complete and data)):
            line = RawLine(data, self.offset, self.offset + len(data))
            self.offset = line.end
            return [line]
        lines = whole_lines(data[:end], self.offset)
        self.offset += end
        return lines

    def close(self) -> None:
        os.close(self._fd)
