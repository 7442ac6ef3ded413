"""No request fails while routes change, Traefik is killed, or its launcher is. Everything here is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

from skypanel.drivers.router.port import Route

APP = "0190a1b2-0000-7000-8000-000000000001"


class Load:
    """Visitors of `a.test`: new connections, keep-alive, slow requests, event streams, WebSockets. Counts by kind."""

    def __init__(self, port: int, *, kinds: tuple[str, ...]) -> None:
        self.port = port
        self.kinds = kinds
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.longest_s = 0.0
        self._over = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(getattr(self, f"_{kind}")() for kind in self.kinds))

    def _count(self, kind: str, answer: bytes, wanted: bytes = b"HTTP/1.1 200") -> None:
        if answer.startswith(wanted):
            self.answered[kind] += 1
        else:
            self.failed[f"{kind}: {answer[:40]!r}"] += 1

    async def _ask(
        self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: str = ""
    ) -> bytes:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: " in head:
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        return head

    async def _one(self, kind: str, path: str) -> None:
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                self._count(kind, await self._ask(path, reader, writer, "Connection: close\r\n"))
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failed[f"{kind}: {type(error).__name__}"] += 1
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    async def _new(self) -> None:
        tasks = []
        while not self._over.is_set():
            tasks.append(asyncio.create_task(self._one("new", "/")))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)

    async def _slow(self) -> None:
        tasks = []
        while not self._over.is_set():
            tasks.append(asyncio.create_task(self._one("slow", "/slow")))
            await asyncio.sleep(0.1)
        await asyncio.gather(*tasks)

    async def _keepalive(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self._over.is_set():
            self._count("keepalive", await self._ask("/", reader, writer))
            await asyncio.sleep(0.005)
        writer.close()

    async def _events(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._count("events", await self._ask("/events", reader, writer))
        while not self._over.is_set():
            line = await asyncio.wait_for(reader.readuntil(b"\n\n"), 2)
            self._count("events", line if b"data: " in line else b"", line)
        writer.close()

    async def _websocket(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        self._count("websocket", await self._ask("/ws", reader, writer, upgrade), b"HTTP/1.1 101")
        while not self._over.is_set():
            writer.write(b"hello")
            self._count("websocket", await asyncio.wait_for(reader.readexactly(5), 2), b"hello")
            await asyncio.sleep(0.02)
        writer.close()


def put(router, replica, *, confirmed: bool = True) -> None:
    route = Route(key=APP, name="a", hosts=("a.test",), backends=(replica.backend,))
    router.driver.put(route)
    assert not confirmed or router.driver.confirm(route, timeout_s=10)


def test_fifty_switches_under_load_fail_no_request(router, replicas) -> None:
    pair = [replicas("one"), replicas("two")]
    put(router, pair[0])
    load = Load(router.port, kinds=("new", "keepalive", "slow", "events", "websocket"))
    with load.running():
        for number in range(1, 52):
            old, new = pair[(number + 1) % 2], pair[number % 2]
            new.retired = False
            put(router, new)
            time.sleep(0.2)  # what was routed before arrives, also on a busy machine; a drain takes seconds
            old.retired = True  # from here on it answers 500 to any new request
            time.sleep(0.03)
    assert load.failed == {}
    assert all(load.answered[kind] > 20 for kind in load.kinds), load.answered
    assert len(pair[0].heads) > 100
    assert len(pair[1].heads) > 100


def test_a_killed_traefik_refuses_no_connection_and_answers_nobody_wrongly(router, replicas) -> None:
    put(router, replicas("one"))
    load = Load(router.port, kinds=("new",))
    with load.running():
        for _ in range(5):
            time.sleep(0.3)
            killed = router.traefik()
            os.kill(killed, signal.SIGKILL)
            before = load.answered["new"]
            while router.traefik() == killed or load.answered["new"] < before + 30:
                time.sleep(0.01)
    # A request that Traefik was just answering is lost with it; none is refused or gets a 404 from a half-loaded one.
    lost = load.failed.pop("new: IncompleteReadError", 0) + load.failed.pop("new: ConnectionResetError", 0)
    assert load.failed == {}
    assert lost <= 5
    assert load.answered["new"] > 150


def test_a_replaced_traefik_loses_no_request(router, replicas) -> None:
    put(router, replicas("one"))
    load = Load(router.port, kinds=("new", "slow"))
    with load.running():
        for _ in range(3):
            time.sleep(0.2)
            before = router.traefik()
            router.launcher.send_signal(signal.SIGHUP)
            while router.traefik() == before or not router.driver.ready():
                time.sleep(0.01)
    assert load.failed == {}


def test_a_restarted_router_serves_all_routes_without_the_platform(router, replicas) -> None:
    app = replicas("one")
    put(router, app)
    assert router.stop() == 0
    put(router, app, confirmed=False)
    router.start()
    assert router.get("a.test") == (200, "one")


def test_a_graceful_stop_lets_open_requests_finish(router, replicas) -> None:
    put(router, replicas("one"))
    answers: list[tuple[int, str]] = []
    visitor = threading.Thread(target=lambda: answers.append(router.get("a.test", "/slow")))
    visitor.start()
    time.sleep(0.2)
    assert router.stop() == 0
    visitor.join()
    assert answers == [(200, "one")]
    assert not (router.config.directory / "launcher.json").exists()
