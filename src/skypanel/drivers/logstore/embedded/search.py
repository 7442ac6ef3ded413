"""Finding lines: backwards from the end for pages of history, forwards for what came after a cursor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from skypanel.drivers.logstore.embedded.codec import Matcher, decode, kinds, matcher
from skypanel.drivers.logstore.embedded.segments import (
    Segment,
    blocks_backward,
    committed_end,
    opened,
    place_after,
    read_on,
    segments,
    summary,
)
from skypanel.drivers.logstore.entries import cursor_of
from skypanel.drivers.logstore.port import Line, LinePage, Query

Found = tuple[int, bytes]  # place and raw line


def newest(directory: Path, query: Query, before: int | None, after: int | None) -> LinePage:
    """The newest `limit` lines that pass, below `before` and above `after`."""
    found: list[Found] = []
    more = False
    for place, raw in _backward(directory, query, before, after):
        if len(found) == query.limit:
            more = True
            break
        found.append((place, raw))
    lines = [_line(place, raw) for place, raw in reversed(found)]
    return LinePage(lines, lines[0].cursor if more else None)


def oldest(directory: Path, query: Query, after: int) -> LinePage:
    """The oldest `limit` lines that pass, above `after`."""
    _needle, passes = matcher(query)
    lines: list[Line] = []
    place = place_after(directory, after)
    more = True
    while more and len(lines) < query.limit:
        start, data, place, more = read_on(directory, place)
        for raw in data.split(b"\n"):
            if len(lines) < query.limit and passes(raw):
                lines.append(_line(start, raw))
            start += len(raw) + 1
    if not lines or next(_backward(directory, query, int(lines[0].cursor), None), None) is None:
        return LinePage(lines, None)
    return LinePage(lines, lines[0].cursor)


def _line(place: int, raw: bytes) -> Line:
    return Line(decode(raw), cursor_of(place))


def _backward(directory: Path, query: Query, before: int | None, after: int | None) -> Iterator[Found]:
    """Newest first."""
    needle, passes = matcher(query)
    for segment in reversed(segments(directory)):
        if before is not None and segment.base >= before:
            continue
        yield from _in_segment(segment, query, before, after, needle, passes)
        if after is not None and segment.base <= after:
            return


def _in_segment(
    segment: Segment, query: Query, before: int | None, after: int | None, needle: bytes | None, passes: Matcher
) -> Iterator[Found]:
    with opened(segment.path) as fd:
        if fd is None:
            return
        size = os.fstat(fd).st_size
        times = summary(fd, size)
        if times is not None and _outside(query, times):
            return
        wanted = kinds(query)
        end = committed_end(fd, size)
        if before is not None:
            end = min(end, before - segment.base)
        for offset, block in blocks_backward(fd, end):
            place = segment.base + offset + len(block)
            if after is not None and place <= after:
                return
            if needle is not None and needle not in block.lower():
                continue
            if wanted and not any(kind in block for kind in wanted):
                continue
            lines = block.split(b"\n")
            lines.pop()
            for raw in reversed(lines):
                place -= len(raw) + 1
                if passes(raw):
                    if after is not None and place <= after:
                        return
                    yield place, raw


def _outside(query: Query, times: tuple[int, int]) -> bool:
    oldest_ns, newest_ns = times
    return (query.since_ns is not None and newest_ns < query.since_ns) or (
        query.until_ns is not None and oldest_ns >= query.until_ns
    )
