"""Bytes of a segment. A segment is frames, then perhaps a seal:

    \\x01<length> <origin> <mark>\\n   then `length` bytes of lines; "-" and "-" when nobody's place is kept
    <19 digits of ns> <source><level> <replica> <message>\\n
    \\x02<oldest 19 digits> <newest 19 digits>\\n   the seal: the segment is full

A frame counts only when all of it is there, so that an append is seen whole or not at all, lines and mark together.
Every line starts with a digit and holds no newline: what an app prints can never look like a frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from skypanel.drivers.logstore.entries import LEVELS, SOURCES, folded
from skypanel.drivers.logstore.port import Entry, Query

FRAME = b"\x01"
SEAL = b"\x02"
SEAL_BYTES = 41
FORGOTTEN = "-"
NOBODY = "-"
HEADER = re.compile(rb"\x01(\d{1,12}) (\S+) (\S+)\n")
_SEAL = re.compile(rb"\x02(\d{19}) (\d{19})\n")
_ANY_HEADER = re.compile(rb"(?:\A|\n)\x01\d{1,12} (\S+) (\S+)(?=\n)")

_SOURCE_CODE = {name: name[0] for name in SOURCES}
_SOURCE_NAME = {ord(name[0]): name for name in SOURCES}
_LEVEL_CODE = {name: name[0] for name in LEVELS}
_LEVEL_NAME = {ord(name[0]): name for name in LEVELS}


def encode(entries: Iterable[Entry]) -> list[bytes]:
    """One line of bytes for each (normalized) entry."""
    return [
        f"{e.ts_ns:019d} {_SOURCE_CODE[e.source]}{_LEVEL_CODE[e.level]} {e.replica} {e.message}\n".encode()
        for e in entries
    ]


def decode(line: bytes) -> Entry:
    """A line without its newline. Raises ValueError for what is none."""
    replica_end = line.index(b" ", 23)
    try:
        return Entry(
            int(line[:19]),
            _SOURCE_NAME[line[20]],
            line[23:replica_end].decode(),
            _LEVEL_NAME[line[21]],
            line[replica_end + 1 :].decode(errors="replace"),
        )
    except KeyError as error:
        raise ValueError(f"no log line: {line[:40]!r}") from error


def is_line(line: bytes) -> bool:
    return len(line) > 24 and line[0] > 0x2F and line[0] < 0x3A


def frame(body: bytes, origin: str = NOBODY, mark: str = NOBODY) -> bytes:
    return f"\x01{len(body)} {origin} {mark}\n".encode() + body


def seal(oldest_ns: int, newest_ns: int) -> bytes:
    return f"\x02{oldest_ns:019d} {newest_ns:019d}\n".encode()


def parse_seal(tail: bytes) -> tuple[int, int] | None:
    found = _SEAL.fullmatch(tail[-SEAL_BYTES:])
    return (int(found[1]), int(found[2])) if found else None


def last_frame(data: bytes) -> int | None:
    """Where the last frame header of these bytes begins; they begin at the start of a line."""
    place = data.rfind(b"\n" + FRAME)
    if place >= 0:
        return place + 1
    return 0 if data.startswith(FRAME) else None


def marks_in(data: bytes) -> Iterator[tuple[str, str]]:
    for found in _ANY_HEADER.finditer(data):
        if found[1] != NOBODY.encode():
            yield found[1].decode(), found[2].decode()


Matcher = Callable[[bytes], bool]


def kinds(query: Query) -> tuple[bytes, ...]:
    """Some of these bytes must be in a block of lines for any of them to pass; empty: cannot be told."""
    if not query.sources and not query.levels:
        return ()
    sources = [_SOURCE_CODE[name] for name in query.sources or SOURCES if name in _SOURCE_CODE]
    levels = [_LEVEL_CODE[name] for name in query.levels or LEVELS if name in _LEVEL_CODE]
    return tuple(f" {source}{level} ".encode() for source in sources for level in levels)


def matcher(query: Query) -> tuple[bytes | None, Matcher]:
    """A test for raw lines that agrees with `entries.selects`, and the bytes that a block of lines, in lower case, must
    contain for any of them to pass (None: cannot be told)."""
    sources = frozenset(ord(_SOURCE_CODE[name]) for name in query.sources if name in _SOURCE_CODE)
    levels = frozenset(ord(_LEVEL_CODE[name]) for name in query.levels if name in _LEVEL_CODE)
    replicas = frozenset(name.encode(errors="replace") for name in query.replicas)
    since = query.since_ns
    until = query.until_ns
    needle = folded(query.search) if query.search else None
    raw_needle = needle.encode(errors="replace") if needle is not None else b""
    ascii_needle = needle is not None and needle.isascii()

    def passes(line: bytes) -> bool:
        if (
            not is_line(line)
            or (query.sources and line[20] not in sources)
            or (query.levels and line[21] not in levels)
        ):
            return False
        if (since is not None or until is not None) and not (
            (since is None or int(line[:19]) >= since) and (until is None or int(line[:19]) < until)
        ):
            return False
        replica_end = line.find(b" ", 23)
        if replicas and line[23:replica_end] not in replicas:
            return False
        if needle is None:
            return True
        message = line[replica_end + 1 :]
        if ascii_needle:
            return raw_needle in message.lower()
        return needle in message.decode(errors="replace").lower()

    return (raw_needle if ascii_needle else None), passes
