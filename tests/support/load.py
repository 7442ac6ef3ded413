"""A bounded load on one app through the router: new connections, keep-alive, a WebSocket, events, slow requests.

Everything that a visitor would call a failure is counted with its reason: a refused or broken connection, a status
other than 200, an answer cut short, a WebSocket that ends without a close frame, an event stream that breaks off.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

STALLED_S = 45.0  # what says nothing for so long leads nowhere: all but the slow requests are answered at once


@dataclass
class Load:
    host: str  # the app's host name
    port: int  # the router's
    address: str = "127.0.0.1"  # where it is
    new_connections_per_s: int = 100
    keep_alive_clients: int = 4
    slow_s: float = 10.0
    slow_clients: int = 2
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    quick_s: list[float] = field(default_factory=list)  # of every answered request on a new connection, connecting too

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; requests under way are answered before it returns."""
        await asyncio.gather(
            self._new_connections(stop),
            *(self._keep_alive(stop) for _ in range(self.keep_alive_clients)),
            *(self._slow(stop) for _ in range(self.slow_clients)),
            self._websocket(stop),
            self._events(stop),
        )

    def _fail(self, kind: str, error: object) -> None:
        self.failures.append(f"{time.strftime('%H:%M:%S')} {kind}: {error!r}")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Closed at the end, whatever has happened."""
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _get(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length")), 0)
        body = await reader.readexactly(length)
        if " 200 " not in head[0]:
            raise ConnectionError(f"{head[0]} {body[:80]!r}")
        self.seen[body.decode().strip()] += 1

    async def _once(self, kind: str, path: str) -> None:
        began = time.monotonic()
        try:
            async with self._connection() as (reader, writer):
                await asyncio.wait_for(self._get(reader, writer, path), self.slow_s + 20)
            self.done[kind] += 1
            if kind == "new":
                self.quick_s.append(time.monotonic() - began)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._fail(kind, error)

    async def _new_connections(self, stop: asyncio.Event) -> None:
        pause = 1 / self.new_connections_per_s
        began, count, running = time.monotonic(), 0, set()
        while not stop.is_set():
            task = asyncio.create_task(self._once("new", "/"))
            running.add(task)
            task.add_done_callback(running.discard)
            count += 1
            await asyncio.sleep(max(0.0, began + count * pause - time.monotonic()))
        if running:
            await asyncio.wait(running)

    async def _slow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._once("slow", f"/slow/{self.slow_s}")

    async def _keep_alive(self, stop: asyncio.Event) -> None:
        """The router keeps the connection to the visitor whatever happens behind it."""
        while not stop.is_set():
            try:
                async with self._connection() as (reader, writer):
                    while not stop.is_set():
                        await asyncio.wait_for(self._get(reader, writer, "/"), STALLED_S)
                        self.done["keep-alive"] += 1
                        await asyncio.sleep(0.05)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._fail("keep-alive", error)

    async def _websocket(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._one_websocket(stop)
            except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
                self._fail("websocket", error)
                await asyncio.sleep(0.1)

    async def _one_websocket(self, stop: asyncio.Event) -> None:
        async with self._connection() as (reader, writer):
            await self._ping_pong(reader, writer, stop)

    async def _ping_pong(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head
        while not stop.is_set():
            writer.write(b"\x81\x84\0\0\0\0ping")
            opcode, length = await asyncio.wait_for(reader.readexactly(2), STALLED_S)
            data = await reader.readexactly(length)
            if opcode == 0x88:  # it goes away and says so: connect again
                assert int.from_bytes(data[:2], "big") == 1001, data
                self.done["websocket reconnects"] += 1
                return
            assert data == b"ping", data
            self.done["websocket"] += 1
            await asyncio.sleep(0.05)

    async def _events(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with self._connection() as (reader, writer):
                    await self._one_stream(reader, writer, stop)
            except (OSError, asyncio.IncompleteReadError, AssertionError, ValueError) as error:
                self._fail("events", error)
                await asyncio.sleep(0.1)

    async def _one_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event
    ) -> None:
        writer.write(f"GET /events HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        while not stop.is_set():
            size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), STALLED_S), 16)
            chunk = await reader.readexactly(size + 2)
            if size == 0:  # the stream ended as it should: connect again
                self.done["event stream reconnects"] += 1
                return
            self.done["events"] += chunk.count(b"data:")


@contextmanager
def running(load: Load) -> Iterator[Load]:
    """The load while entered; at the end the requests under way have been answered."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(load.run(stop)))
    thread.start()
    try:
        yield load
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        assert not thread.is_alive(), f"requests that nobody ends: {load.done}, {load.failures[-5:]}"
        loop.close()
