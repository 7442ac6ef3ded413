"""The part of an ingress node that keeps and tells its router's access log, with a real server and real files."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from skypanel.edge.access import AccessLog
from skypanel.edge.probes import ProbeServer
from skypanel.kit.secret import Secret
from skypanel.logs.ingress import Node

TOKEN = Secret("a token of the cluster")


def line(number: int, app: str = "a", path: str | None = None) -> bytes:
    """As Traefik writes it."""
    return json.dumps({
        "ClientHost": "192.0.2.7", "DownstreamContentSize": 5, "DownstreamStatus": 200, "Duration": 1_000_000,
        "RequestHost": "a.test", "RequestMethod": "GET", "RequestPath": path or f"/{number}",
        "RouterName": f"app-{app}@file", "StartUTC": "2026-01-02T03:04:05.000000006Z",
    }).encode() + b"\n"  # fmt: skip


class IngressNode:
    def __init__(self, directory: Path, name: str = "m1", **limits: int) -> None:
        (directory / "staging").mkdir(parents=True, exist_ok=True)
        self.directory, self.name, self._limits = directory, name, limits
        self.file = directory / "access.log"
        self.file.touch()
        self.start()

    def start(self) -> None:
        self.access = AccessLog(self.directory, **self._limits)
        nobody: Any = None  # no replica is asked for here
        self.server = ProbeServer("127.0.0.1", 0, token=TOKEN, networks=nobody, access=self.access)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def write(self, *lines: bytes) -> None:
        with self.file.open("ab", buffering=0) as file:
            file.write(b"".join(lines))

    @property
    def node(self) -> Node:
        return Node(self.name, "127.0.0.1", self.server.server_address[1])

    def full(self) -> list[Path]:
        return sorted(self.directory.glob("access.log.*"))
