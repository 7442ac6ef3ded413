"""Log lines: appended in batches by the worker, read and followed by the server.

A stream is one sequence of lines: `app:<id>` (sources app, router, system and build), `build:<deployment id>`,
`run:<run id>`. A cursor names a place in a stream and sorts in its order; one whose line retention has taken goes on at
the oldest line there is. A message holds no newline: `append` makes one line of each of its lines, and several of one
longer than `entries.MAX_MESSAGE_BYTES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
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
    after: str | None = None  # cursor: lines newer than it; without `before` the page is the oldest of them


@dataclass(frozen=True)
class LinePage:
    lines: Sequence[Line]  # oldest first
    next_before: str | None  # cursor for the page before this one; None at the beginning


class StopsFollowing(Protocol):
    def __call__(self) -> bool: ...


@dataclass(frozen=True)
class Chunk:
    """Some lines as they stand in the stream, unfiltered, oldest first."""

    lines: Sequence[Line]
    position: str  # where to read on; sorts with cursors
    more: bool  # there may be more already: read again without waiting


class ReadsOn(Protocol):
    """Following without a thread of one's own: `subscribe`, then `read` after each wake. Reads are short."""

    def position(self, stream: str, after: str | None) -> str:
        """Where the line after that cursor starts; for None, the present end. `before=` takes it as well."""
        ...

    def read(self, stream: str, position: str) -> Chunk: ...

    def subscribe(self, stream: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake`, from any thread, soon after lines came (perhaps once for many, perhaps for none); the returned
        function ends it. The stream need not exist yet."""
        ...


class RemembersOrigins(Protocol):
    """Lines and the place they were read from, kept in one stroke: what makes collecting exactly-once."""

    def append_marked(self, stream: str, entries: Sequence[Entry], *, origin: str, mark: str) -> None:
        """All of it or nothing. Neither `origin` nor `mark` contains white space."""
        ...

    def marks(self, stream: str) -> Mapping[str, str]:
        """The newest mark of every origin that was not forgotten. Retention does not take them."""
        ...

    def forget(self, stream: str, origin: str) -> None: ...


class LogStore(ReadsOn, RemembersOrigins, Protocol):
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
