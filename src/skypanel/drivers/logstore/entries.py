"""What every driver agrees on: which entries are valid, how messages are cut into lines, what a query selects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from skypanel.drivers.logstore.port import Entry, Query

SOURCES = ("build", "app", "router", "system")
LEVELS = ("debug", "info", "warn", "error")
MAX_MESSAGE_BYTES = 65_536
MAX_TS_NS = 10**19 - 1

_STREAM = re.compile(r"[a-z]{1,16}:[A-Za-z0-9_-]{1,80}")
_REPLICA = re.compile(r"[!-~]{1,80}")
_CURSOR = re.compile(r"[0-9]{20}")


def check_stream(stream: str) -> str:
    """Raises ValueError for what is no name of a stream: it becomes a directory's name."""
    if _STREAM.fullmatch(stream) is None:
        raise ValueError(f"{stream!r} is no log stream")
    return stream


def check_cursor(cursor: str) -> int:
    """Raises ValueError for a cursor that is none of ours."""
    if _CURSOR.fullmatch(cursor) is None:
        raise ValueError("the cursor is none of ours")
    return int(cursor)


def cursor_of(position: int) -> str:
    return f"{position:020d}"


def normalized(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries whose messages are single lines of at most MAX_MESSAGE_BYTES of valid UTF-8. Raises ValueError for a
    source, level, replica or time that cannot be."""
    for entry in entries:
        if entry.source not in SOURCES or entry.level not in LEVELS:
            raise ValueError(f"no log entry has source {entry.source!r} and level {entry.level!r}")
        if _REPLICA.fullmatch(entry.replica) is None or not 0 <= entry.ts_ns <= MAX_TS_NS:
            raise ValueError(f"no log entry has replica {entry.replica!r} and time {entry.ts_ns}")
        message = entry.message
        if len(message) * 4 <= MAX_MESSAGE_BYTES and message.isascii() and "\n" not in message:
            yield entry
        else:
            for line in message.split("\n"):
                for part in _parts(line):
                    yield entry._replace(message=part)


def _parts(line: str) -> Iterator[str]:
    raw = line.encode(errors="replace")
    if len(raw) <= MAX_MESSAGE_BYTES:
        yield raw.decode()
        return
    start = 0
    while start < len(raw):
        end = min(start + MAX_MESSAGE_BYTES, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # never in the middle of a character
            end -= 1
        yield raw[start:end].decode()
        start = end


def folded(needle: str) -> str:
    """Plain ASCII is compared without case by ASCII rules, anything else by Unicode's lower case."""
    return needle.lower()


def contains(message: str, needle: str) -> bool:
    """`needle` as `folded` made it."""
    if needle.isascii() and not message.isascii():
        return needle.encode() in message.encode().lower()
    return needle in message.lower()


def selects(query: Query, entry: Entry) -> bool:
    """Whether an entry passes the query's filters (not its cursors)."""
    if query.sources and entry.source not in query.sources:
        return False
    if query.levels and entry.level not in query.levels:
        return False
    if query.replicas and entry.replica not in query.replicas:
        return False
    if query.since_ns is not None and entry.ts_ns < query.since_ns:
        return False
    if query.until_ns is not None and entry.ts_ns >= query.until_ns:
        return False
    return not query.search or contains(entry.message, folded(query.search))
