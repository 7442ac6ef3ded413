"""Following from an event loop: no thread and no poll per follower. The waking comes from the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from skypanel.drivers.logstore.entries import selects
from skypanel.drivers.logstore.following import start_of
from skypanel.drivers.logstore.port import Line, LogStore, Query


async def follow(store: LogStore, stream: str, query: Query, *, idle_s: float = 1.0) -> AsyncIterator[Sequence[Line]]:
    """Lines after `query.after` (or from the newest `limit` ones on) as they come; an empty sequence after every
    `idle_s` without any, so that the caller may look whether to go on. Closing the iterator frees all it held."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    unsubscribe = store.subscribe(stream, lambda: _wake(loop, woken))
    try:
        lines, position = await asyncio.to_thread(start_of, store, stream, query)
        if lines:
            yield lines
        quiet_since = loop.time()
        while True:
            woken.clear()
            chunk = store.read(stream, position)
            position = chunk.position
            selected = [line for line in chunk.lines if selects(query, line.entry)]
            if selected:
                yield selected
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= idle_s:
                yield ()
                quiet_since = loop.time()
            if chunk.more:
                await asyncio.sleep(0)  # one who catches up leaves room for the others
            else:
                await _wait(woken, idle_s)
    finally:
        unsubscribe()


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(woken.set)


async def _wait(woken: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(woken.wait(), timeout_s)
    except TimeoutError:
        return
