"""Counts what applications log, beside the store that takes it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from skypanel.drivers.logstore.port import Entry, LogStore
from skypanel.kit.clock import Clock

PREFIX = "app:"
COUNTED = ("app", "router")  # what the platform itself says there is free


class Volumes:
    """Bytes by application and hour, of lines that are in the store. Safe to be used by many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._counted: Counter[tuple[str, datetime]] = Counter()

    def note(self, stream: str, entries: Sequence[Entry]) -> None:
        if not stream.startswith(PREFIX):
            return
        size = sum(len(entry.message.encode()) + 1 for entry in entries if entry.source in COUNTED)
        if size:
            hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
            with self._lock:
                self._counted[stream.removeprefix(PREFIX), hour] += size

    def take(self) -> Mapping[tuple[str, datetime], int]:
        """All that was counted since, which is forgotten here."""
        with self._lock:
            taken, self._counted = self._counted, Counter()
        return taken

    def put_back(self, taken: Mapping[tuple[str, datetime], int]) -> None:
        with self._lock:
            self._counted.update(taken)


class CountingStore:
    """A store that notes what is appended; everything else is the store's."""

    def __init__(self, store: LogStore, volumes: Volumes) -> None:
        self._store, self._volumes = store, volumes

    def append(self, stream: str, entries: Sequence[Entry]) -> None:
        self._store.append(stream, entries)
        self._volumes.note(stream, entries)

    def append_marked(self, stream: str, entries: Sequence[Entry], *, origin: str, mark: str) -> None:
        self._store.append_marked(stream, entries, origin=origin, mark=mark)
        self._volumes.note(stream, entries)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
