"""Log lines: appended in batches by the worker, read and followed by the server.

A stream is one sequence of lines: `app:<id>` (sources app, router, system and build), `build:<deployment id>`,
`run:<run id>`. A cursor names a place in a stream and sorts in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    ts_ns: int  # nanoseconds since the epoch
    source: str  # build, app, router, system
    replica: str  # "web.1", "router", "build", "platform"
    level: str  # debug, info, warn, error
    message: str


@dataclass(frozen=True)
class Line:
    entry: Entry
    cursor: str


@dataclass(frozen=True)
class Query:
    sources: Sequence[str] = ()
    levels: Sequence[str] = ()
    replicas: Sequence[str] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    search: str | None = None  # plain text, case-insensitive
    limit: int = 200
    before: str | None = None  # cursor: lines older than it
    after: str | None = None  # cursor: lines newer than it


@dataclass(frozen=True)
class LinePage:
    lines: Sequence[Line]  # oldest first
    next_before: str | None  # cursor for the page before this one; None at the beginning


class LogStore(Protocol):
    def append(self, stream: str, entries: Sequence[Entry]) -> None: ...

    def query(self, stream: str, query: Query) -> LinePage: ...

    def follow(self, stream: str, query: Query, *, stop: StopsFollowing) -> Iterator[Line | None]:
        """Lines after `query.after` (or after the newest `limit` ones) as they come; None about every second while
        nothing comes, so that the caller may send a heartbeat or end. Woken by events, not by polling."""
        ...

    def drop(self, stream: str) -> None: ...

    def retain(self, *, older_than_ns: int, max_bytes_per_stream: int, max_bytes: int) -> int:
        """Removes what is too old or too much, oldest first; returns the bytes freed."""
        ...


class StopsFollowing(Protocol):
    def __call__(self) -> bool: ...
