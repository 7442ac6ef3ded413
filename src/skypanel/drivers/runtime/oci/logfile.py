"""conmon's log files: `2026-01-02T03:04:05.678901234+00:00 stdout F text`; `P` for a line that goes on in the next."""

from __future__ import annotations

import os
from pathlib import Path

TAIL_BLOCK = 64 * 1024
LONGEST_LINE = 64 * 1024


class LineJoiner:
    """Puts partial lines together again, stdout and stderr apart."""

    def __init__(self) -> None:
        self._rest = b""  # of the file: not yet a whole record
        self._open: dict[bytes, bytearray] = {}

    def feed(self, data: bytes) -> list[bytes]:
        """The whole lines that are now complete, each with its newline."""
        *records, self._rest = (self._rest + data).split(b"\n")
        found = []
        for record in records:
            fields = record.split(b" ", 3)
            if len(fields) != 4 or fields[2] not in (b"F", b"P"):
                continue
            _, stream, flag, text = fields
            line = self._open.setdefault(stream, bytearray())
            line += text
            if flag == b"F" or len(line) >= LONGEST_LINE:
                found.append(bytes(line) + b"\n")
                line.clear()
        return found

    def end(self) -> list[bytes]:
        """What was printed without a last newline."""
        rest = [bytes(line) + b"\n" for line in self._open.values() if line]
        self._open.clear()
        return rest


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines printed, without newlines; none when the file is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    try:
        end = os.fstat(file).st_size
        size = TAIL_BLOCK
        while True:
            start = max(0, end - size)
            data = os.pread(file, end - start, start)
            if start > 0:
                data = data.partition(b"\n")[2]
            joiner = LineJoiner()
            lines = joiner.feed(data) + joiner.end()
            if len(lines) > count or start == 0:
                return [line[:-1].decode(errors="replace") for line in lines[max(0, len(lines) - count) :]]
            size *= 4
    finally:
        os.close(file)
