"""A real Traefik behind its launcher on free ports, replicas to route to, and clients that count what fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skypanel.drivers.router.port import Backend
from skypanel.drivers.router.traefik.command import launcher_command
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.router.traefik.processes import alive
from skypanel.drivers.router.traefik.setup import prepare

NOBODY = 65534


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Replica:
    """A small HTTP server: `/slow` takes a second, `/events` never ends, `/ws` echoes bytes, `/_pages/…` are pages;
    all else answers the replica's name. A retired one answers 500 to new requests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.retired = False
        self.heads: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.backend = Backend("127.0.0.1", int(self._socket.getsockname()[1]))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._socket.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(head)
        path = head.split(" ", 2)[1]
        body, status = self.name, 200
        if self.retired:
            status = 500
        elif path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for number in range(10_000):
                writer.write(f"data: {number}\n\n".encode())
                await writer.drain()
                await asyncio.sleep(0.05)
        elif path == "/ws":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.write(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
            while data := await reader.read(4096):
                writer.write(data)
            raise ConnectionError
        elif path == "/slow":
            await asyncio.sleep(1)
        elif path.startswith("/_pages/"):
            status, body = int(path.split("/")[2]), f"page {path}"
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()


class RunningRouter:
    def __init__(self, directory: Path, *, server: Replica) -> None:
        unprivileged = NOBODY if os.geteuid() == 0 else None
        self.server = server
        self.config = RouterConfig(
            directory=directory, host="127.0.0.1", http_port=free_port(), https_port=free_port(),
            server_url=f"http://127.0.0.1:{server.backend.port}", dashboard_host="panel.test",
            uid=unprivileged, gid=unprivileged,
        )  # fmt: skip
        prepare(self.config, now=datetime.now(UTC))
        self.driver = TraefikRouter(
            directory=directory, host="127.0.0.1", http_port=self.config.http_port, gid=unprivileged
        )
        self.launcher: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.config.http_port

    def start(self, *, binary: Path | None = None) -> None:
        self.launcher = subprocess.Popen(launcher_command(self.config, binary=binary))
        wait_for(lambda: self.launcher is None or self.launcher.poll() is not None or self.driver.ready())
        assert self.launcher.poll() is None, "the launcher ended"

    def traefik(self) -> int:
        """The pid of the Traefik that serves."""
        state = json.loads((self.config.directory / "launcher.json").read_text())
        return int(state["traefiks"][0][0])

    def stop(self) -> int:
        assert self.launcher is not None
        self.launcher.send_signal(signal.SIGTERM)
        return self.launcher.wait(timeout=20)

    def end(self) -> None:
        """Whatever a test did: nothing of it runs on."""
        if self.launcher is not None and self.launcher.poll() is None:
            self.stop()
        state = self.config.directory / "launcher.json"
        if state.exists():
            for pid, start in json.loads(state.read_text())["traefiks"]:
                if alive((pid, start)):
                    os.kill(pid, signal.SIGKILL)

    def get(self, host: str, path: str = "/", *, headers: str = "") -> tuple[int, str]:
        """Status and body of one request on a new connection. Raises OSError when it is not answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        if not answer:
            raise ConnectionError("closed without an answer")
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()


def wait_for(condition: Callable[[], object], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def replicas() -> Iterator[Callable[[str], Replica]]:
    made: list[Replica] = []

    def make(name: str) -> Replica:
        made.append(Replica(name))
        return made[-1]

    yield make
    for replica in made:
        replica.close()


@pytest.fixture
def stopped_router(tmp_path: Path, replicas: Callable[[str], Replica]) -> Iterator[RunningRouter]:
    """Prepared, not started. pytest's directories have mode 0700: Traefik's user could not enter them by itself."""
    running = RunningRouter(tmp_path / "router", server=replicas("platform"))
    yield running
    running.end()


@pytest.fixture
def router(stopped_router: RunningRouter) -> RunningRouter:
    stopped_router.start()
    return stopped_router
