"""Server-sent events (WHATWG HTML, "Server-sent events"): the bytes, and a response that ends what feeds it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
HEARTBEAT_S = 10.0
RECHECK_S = 30.0  # a revoked token ends a stream within this time
ALIVE = b": alive\n\n"
BEGIN = b"retry: 1000\n\n: following\n\n"


def event(name: str, data: object, *, cursor: str | None = None) -> bytes:
    """JSON has no raw line ends, so that nothing in it can end the event."""
    head = f"id: {cursor}\n".encode() if cursor is not None else b""
    return head + b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


class ClosingStream(StreamingResponse):
    """Closes its generator when the client is gone, instead of leaving it to the garbage collector."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        super().__init__(events, media_type=MEDIA_TYPE, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
