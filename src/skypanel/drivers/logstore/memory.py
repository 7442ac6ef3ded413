"""The log store as a complete fake: lists in memory, of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from skypanel.drivers.logstore.entries import check_cursor, check_stream, cursor_of, normalized, selects
from skypanel.drivers.logstore.following import follow
from skypanel.drivers.logstore.port import Chunk, Entry, Line, LinePage, Query, StopsFollowing

_CHUNK_LINES = 1000


@dataclass
class _Stream:
    first: int = 1  # the place of lines[0]
    entries: list[Entry] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.first + len(self.entries)

    @property
    def size(self) -> int:
        return sum(len(entry.message) + 32 for entry in self.entries)

    def lines(self, start: int, end: int) -> list[Line]:
        start, end = max(start, self.first), min(end, self.end)
        return [Line(self.entries[place - self.first], cursor_of(place)) for place in range(start, end)]

    def take_oldest(self) -> int:
        entry = self.entries.pop(0)
        self.first += 1
        return len(entry.message) + 32


class MemoryLogStore:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._streams: dict[str, _Stream] = {}
        self._ended: dict[str, int] = {}  # where a dropped stream ended, so that its cursors are not given again
        self._wakes: dict[str, list[Callable[[], None]]] = {}

    def append(self, stream: str, entries: Sequence[Entry]) -> None:
        self._append(stream, entries)

    def append_marked(self, stream: str, entries: Sequence[Entry], *, origin: str, mark: str) -> None:
        self._append(stream, entries, origin, mark)

    def _append(self, stream: str, entries: Sequence[Entry], origin: str | None = None, mark: str = "") -> None:
        lines = list(normalized(entries))
        with self._lock:
            kept = self._streams.get(check_stream(stream))
            if kept is None:
                kept = self._streams[stream] = _Stream(first=self._ended.pop(stream, 1))
            kept.entries.extend(lines)
            if origin is not None:
                kept.marks[origin] = mark
            wakes = list(self._wakes.get(stream, ()))
        for wake in wakes:
            wake()

    def marks(self, stream: str) -> Mapping[str, str]:
        with self._lock:
            return dict(self._get(stream).marks)

    def forget(self, stream: str, origin: str) -> None:
        with self._lock:
            self._get(stream).marks.pop(origin, None)

    def query(self, stream: str, query: Query) -> LinePage:
        with self._lock:
            kept = self._get(stream)
            start = kept.first if query.after is None else check_cursor(query.after) + 1
            end = kept.end if query.before is None else check_cursor(query.before)
            found = [line for line in kept.lines(start, end) if selects(query, line.entry)]
            older = query.after is not None and any(selects(query, line.entry) for line in kept.lines(0, start))
        if query.after is not None and query.before is None:
            page = found[: query.limit]
            return LinePage(page, page[0].cursor if page and older else None)
        page = found[-query.limit :] if query.limit > 0 else []
        return LinePage(page, page[0].cursor if len(page) < len(found) and page else None)

    def follow(self, stream: str, query: Query, *, stop: StopsFollowing) -> Iterator[Line | None]:
        return follow(self, stream, query, stop=stop)

    def position(self, stream: str, after: str | None) -> str:
        with self._lock:
            end = self._get(stream).end
            return cursor_of(end if after is None else min(check_cursor(after) + 1, end))

    def read(self, stream: str, position: str) -> Chunk:
        with self._lock:
            kept = self._get(stream)
            start = max(check_cursor(position), kept.first)
            lines = kept.lines(start, start + _CHUNK_LINES)
            return Chunk(lines, cursor_of(start + len(lines)), len(lines) == _CHUNK_LINES)

    def subscribe(self, stream: str, wake: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._wakes.setdefault(check_stream(stream), []).append(wake)

        def unsubscribe() -> None:
            with self._lock:
                self._wakes[stream].remove(wake)

        return unsubscribe

    def drop(self, stream: str) -> None:
        with self._lock:
            dropped = self._streams.pop(check_stream(stream), None)
            if dropped is not None:
                self._ended[stream] = dropped.end

    def retain(self, *, older_than_ns: int, max_bytes_per_stream: int, max_bytes: int) -> int:
        freed = 0
        with self._lock:
            for kept in self._streams.values():
                while kept.entries and (kept.entries[0].ts_ns < older_than_ns or kept.size > max_bytes_per_stream):
                    freed += kept.take_oldest()
            while sum(kept.size for kept in self._streams.values()) > max_bytes:
                oldest = min(
                    (kept for kept in self._streams.values() if kept.entries), key=lambda kept: kept.entries[0].ts_ns
                )
                freed += oldest.take_oldest()
        return freed

    def _get(self, stream: str) -> _Stream:
        return self._streams.get(check_stream(stream)) or _Stream(first=self._ended.get(stream, 1))
