"""Plays a Docker Engine: its API on a Unix socket, for containers and images that are only told of.

It can be slow, restart while it is asked, and stay away, which a real one does not do when a test wants it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import socketserver
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

IN_NETWORK_OF = "container:"


@dataclass
class Container:
    """`state` as the engine says it: created, running, exited. `network`: `container:NAME` lives in that one's."""

    labels: dict[str, str]
    state: str = "running"
    restart: str = "always"
    network: str = "bridge"
    written: int = 0
    counting_s: float = 0.0  # how long it takes to find that out
    shell: bool = True


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class StandIn:
    """`followed` is called when somebody follows the events, which end when it returns: by themselves or, as those of
    an engine that dies, in the middle. `done`: what changed something, in the order it was asked for. `known`: further
    answers, to "METHOD /path". It can pull no image."""

    socket: Path
    containers: dict[str, Container] = field(default_factory=dict)
    swarm: dict[str, Any] = field(default_factory=lambda: {"NodeAddr": "192.0.2.11"})
    followed: Callable[[], None] = lambda: None
    events_end: bool = True
    events_refused: bool = False
    done: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)
    passwords: list[str] = field(default_factory=list)  # X-Registry-Auth, as often as it came
    connections: set[socket.socket] = field(default_factory=set)

    def start(self) -> None:
        self._server = _Server(str(self.socket), _Handler)
        self._server.engine = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Whoever is connected is cut off. Does nothing when it has stopped already."""
        if self.socket.exists():
            self.socket.unlink()
            self._server.shutdown()
            self._server.server_close()
            for each in list(self.connections):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """Raises Refused."""
        if method != "GET":
            self.done.append(f"{method} {path}")
        if f"{method} {path}" in self.known:
            return self.known[f"{method} {path}"]
        match [method, *path.strip("/").split("/")]:
            case ["GET", "version"]:
                return {"ApiVersion": "1.47", "MinAPIVersion": "1.24"}
            case ["GET", "info"]:
                return {"Swarm": self.swarm}
            case ["GET", "networks", _]:
                return {"Containers": {}}
            case ["GET", "containers", "json"]:
                (label,) = json.loads(query["filters"])["label"]
                return [
                    {"Id": name, "Labels": each.labels, "State": each.state}
                    for name, each in self.containers.items()
                    if _has(each, label) and (each.state == "running" or "all" in query)
                ]
            case ["GET", "containers", name, "json"]:
                return self._looked_at(self._container(name), counts="size" in query)
            case ["POST", "containers", name, "exec"]:
                return {"Id": f"in-{name}"}
            case ["GET", "images", *name, "json"] if "/".join(name) in self.images:
                return {"Id": f"sha256:{'0' * 64}"}
            case ["POST", "images", "create"]:
                return self._image_of_an_archive(query)
            case ["POST", "build"]:
                return self._built(query["t"], body)
            case ["POST", "exec", name, "start"] if not self._container(name.removeprefix("in-")).shell:
                raise Refused(400, 'exec: "sh": executable file not found in $PATH')
            case ["POST", "exec", _, "start"]:
                return {}
            case ["POST", "containers", name, "kill"]:
                self._container(name).state = "exited"
                return {}
            case ["POST", "containers", name, "start"]:
                self._start(self._container(name))
                return {}
        raise Refused(404, f"page not found: {method} {path}")

    def _image_of_an_archive(self, query: dict[str, str]) -> dict[str, str]:
        if "fromSrc" not in query:
            return {"error": "pull access denied"}
        self.images.append(f"{query['repo']}:{query['tag']}")
        return {"status": "sha256:0"}

    def _built(self, name: str, context: bytes) -> dict[str, str]:
        """Its Dockerfile is one whose base is there."""
        with tarfile.open(fileobj=io.BytesIO(context)) as archive:
            dockerfile = archive.extractfile("Dockerfile")
            assert dockerfile is not None
            base = dockerfile.read().decode().split()[1]
        if base not in self.images:
            return {"error": f"pull access denied for {base}"}
        self.images.append(name)
        return {"stream": "Successfully built"}

    def _container(self, name: str) -> Container:
        if name not in self.containers:
            raise Refused(404, f"No such container: {name}")
        return self.containers[name]

    def _looked_at(self, found: Container, *, counts: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"HostConfig": {"RestartPolicy": {"Name": found.restart}}}
        if counts:
            time.sleep(found.counting_s)
            shown["SizeRw"] = found.written
        return shown

    def _start(self, found: Container) -> None:
        if found.network.startswith(IN_NETWORK_OF):
            owner = found.network.removeprefix(IN_NETWORK_OF)
            if self._container(owner).state != "running":
                raise Refused(409, f"cannot join network of a non running container: {owner}")
        found.state = "running"


def _has(container: Container, label: str) -> bool:
    name, _, value = label.partition("=")
    return name in container.labels and value in ("", container.labels[name])


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    engine: StandIn

    def handle_error(self, *_: object) -> None:
        """Nobody waits for the answer any more."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.engine.connections.add(self.connection)

    def finish(self) -> None:
        self.server.engine.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        engine, parts = self.server.engine, urlsplit(self.path)
        body = self._body()
        if auth := self.headers.get("x-registry-auth"):
            engine.passwords.append(auth)
        path = re.sub(r"^/v1\.\d+", "", parts.path)
        if path == "/events" and not engine.events_refused:
            self._events(engine)
            return
        try:
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, found = 200, engine.answer(self.command, path, query, body)
        except Refused as error:
            status, found = error.status, {"message": str(error)}
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _events(self, engine: StandIn) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if engine.events_end:
            engine.connections.discard(self.connection)  # its end is said, even by an engine that stops
        engine.followed()
        if engine.events_end:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def engine_stand_in(directory: Path) -> Iterator[StandIn]:
    made = StandIn(directory / "docker.sock")
    made.start()
    try:
        yield made
    finally:
        made.stop()
