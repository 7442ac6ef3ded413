"""Following with a thread of the caller's: the blocking face of `ReadsOn`, the same for every driver."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from skypanel.drivers.logstore.entries import selects
from skypanel.drivers.logstore.port import Line, LogStore, Query, StopsFollowing

HEARTBEAT_S = 1.0


def start_of(store: LogStore, stream: str, query: Query) -> tuple[list[Line], str]:
    """What a follower shows first, and the position from which it reads on: nothing between is lost or shown twice."""
    if query.after is not None:
        return [], store.position(stream, query.after)
    end = store.position(stream, None)
    if query.limit <= 0:
        return [], end
    return list(store.query(stream, replace(query, before=end)).lines), end


def follow(store: LogStore, stream: str, query: Query, *, stop: StopsFollowing) -> Iterator[Line | None]:
    woken = threading.Event()
    unsubscribe = store.subscribe(stream, woken.set)
    try:
        lines, position = start_of(store, stream, query)
        yield from lines
        quiet_since = time.monotonic()
        while not stop():
            woken.clear()
            chunk = store.read(stream, position)
            position = chunk.position
            selected = [line for line in chunk.lines if selects(query, line.entry)]
            yield from selected
            if selected:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= HEARTBEAT_S:
                yield None
                quiet_since = time.monotonic()
            if not chunk.more:
                woken.wait(HEARTBEAT_S)
    finally:
        unsubscribe()
