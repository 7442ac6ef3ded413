"""Log lines as server-sent events: `log` with the line as JSON and its cursor as id, comments as heartbeats, `end` when
no more will come. Holds neither a database session nor a thread while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from skypanel.drivers.logstore.port import Line
from skypanel.http.sse import ALIVE, BEGIN, HEARTBEAT_S, RECHECK_S, ClosingStream, event

IDLE_S = 0.5

End = dict[str, Any]


def line_body(line: Line) -> dict[str, str]:
    entry = line.entry
    return {
        "ts": moment(entry.ts_ns),
        "source": entry.source,
        "replica": entry.replica,
        "level": entry.level,
        "message": entry.message,
        "cursor": line.cursor,
    }


def moment(ts_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


@dataclass(frozen=True)
class Watch:
    """What a stream looks at while it waits; both are called in threads. `allowed`: may the client still read it?
    `ended`: None while more may come, else the data of the `end` event."""

    allowed: Callable[[], bool]
    ended: Callable[[], End | None] = lambda: None


class EventStream(ClosingStream):
    def __init__(self, request: Request, batches: AsyncGenerator[Sequence[Line], None], watch: Watch) -> None:
        super().__init__(_events(request, batches, watch))


async def _events(
    request: Request, batches: AsyncGenerator[Sequence[Line], None], watch: Watch
) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    checked = sent = loop.time()
    end_seen = looked = 0.0
    yield BEGIN
    async with aclosing(batches):
        async for lines in batches:
            now = loop.time()
            if lines:
                sent = now
                yield b"".join(event("log", line_body(line), cursor=line.cursor) for line in lines)
            elif now - sent >= HEARTBEAT_S:
                sent = now
                yield ALIVE
            if now - looked < IDLE_S / 2:
                continue
            looked = now
            if await request.is_disconnected():
                return
            if now - checked >= RECHECK_S:
                checked = now
                if not await asyncio.to_thread(watch.allowed):
                    return
            # The last lines may come a moment after the state that says that there are no more.
            end = await asyncio.to_thread(watch.ended) if not lines or end_seen else None
            if end is not None and end_seen and not lines:
                yield event("end", end)
                return
            end_seen = now if end is not None else 0.0


def as_generator(batches: AsyncIterator[Sequence[Line]]) -> AsyncGenerator[Sequence[Line], None]:
    """What `async def … yield` makes is a generator, whatever its annotation says."""
    assert isinstance(batches, AsyncGenerator)
    return batches
