"""conmon's log lines: `<RFC 3339 time with nanoseconds> stdout|stderr F|P <text>`, pieces (P) joined. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

_HEADER = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})(Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?: |$)")
MAX_JOINED = 65_536
MAX_SPAN = 1_048_576  # how far others may print past an unfinished line before it is shown as it is


class Printed(NamedTuple):
    """One line of a container. `end`: the offset behind the bytes that finished it."""

    ts_ns: int
    text: bytes
    end: int


@dataclass
class _Unfinished:
    start: int
    ts_ns: int
    pieces: bytearray


@lru_cache(maxsize=64)
def _seconds(stamp: bytes, zone: bytes) -> int:
    return int(datetime.fromisoformat(stamp.decode() + zone.decode().replace("Z", "+00:00")).timestamp())


class Joiner:
    """Lines of one file in, lines as they were printed out: the same out for the same in, wherever the reader stops
    and starts again at `resume_at`."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Unfinished] = {}

    def feed(self, line: bytes, *, start: int, end: int, now_ns: int) -> list[Printed]:
        """A line without its newline, from `start` up to `end` of the file. What has no header of conmon's is taken as
        printed now."""
        found = _HEADER.match(line)
        try:
            ts_ns = _seconds(found[1], found[3]) * 10**9 + int(found[2]) if found else now_ns
        except (ValueError, OverflowError):
            found, ts_ns = None, now_ns
        printed = self._overtaken(start, end) if self._open else []
        if found is None:
            return [*printed, Printed(ts_ns, line, end)]
        text, stream = line[found.end() :], found[4]
        unfinished = self._open.get(stream)
        if found[5] == b"F" and unfinished is None:
            printed.append(Printed(ts_ns, text, end))
            return printed
        if unfinished is None:
            unfinished = self._open[stream] = _Unfinished(start, ts_ns, bytearray())
        unfinished.pieces += text
        if found[5] == b"F" or len(unfinished.pieces) >= MAX_JOINED:
            del self._open[stream]
            printed.append(Printed(unfinished.ts_ns, bytes(unfinished.pieces), end))
        return printed

    def _overtaken(self, start: int, end: int) -> list[Printed]:
        late = [stream for stream, unfinished in self._open.items() if start - unfinished.start > MAX_SPAN]
        return [self._give_up(stream, end) for stream in late]

    def _give_up(self, stream: bytes, end: int) -> Printed:
        unfinished = self._open.pop(stream)
        return Printed(unfinished.ts_ns, bytes(unfinished.pieces), end)

    def resume_at(self, position: int) -> int:
        """Where a reader has to start again to lose nothing, when everything up to `position` was fed."""
        return min((unfinished.start for unfinished in self._open.values()), default=position)

    def finish(self, end: int) -> list[Printed]:
        """No more will come. `end` lies behind everything that was fed."""
        return [self._give_up(stream, end) for stream in sorted(self._open)]
