"""Programs for containers under test: Python text for the real runtimes, functions for the fake."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from skypanel.drivers.runtime.memory import Inside
from skypanel.drivers.runtime.oci import taken_networks
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Limits, Runtime

SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"env": dict(os.environ), "path": self.path}).encode())
    def log_message(self, *args): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer((os.environ.get("BIND", "0.0.0.0"), int(os.environ["PORT"])), Handler).serve_forever()
"""
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
POLITE = """
import signal, sys, time
def end(*_): print('bye', flush=True); sys.exit(0)
signal.signal(15, end); print('ready', flush=True); time.sleep(600)
"""
LINES = "for word in ('one', 'two', 'three', 'four', 'five'): print(word, flush=True)"
FAILING = "import sys; print('about to fail'); sys.exit(7)"
CHATTER = "import itertools\nfor n in itertools.count(): print('chatter', n, flush=True)"
NO_NEWLINE = "import sys; sys.stdout.write('whole\\nrest'); sys.stdout.flush()"
FILLER = """
import os, time
with open(os.environ['FILL'], 'wb') as stream:
    for _ in range(24): stream.write(os.urandom(1 << 20)); stream.flush()
print('filled', flush=True); time.sleep(600)
"""
SOURCES = {
    "server": SERVER, "stubborn": STUBBORN, "polite": POLITE, "lines": LINES, "failing": FAILING, "chatter": CHATTER,
    "no-newline": NO_NEWLINE, "filler": FILLER,
}  # fmt: skip


def fake_server(inside: Inside) -> int:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"env": dict(inside.env), "path": self.path}).encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer((inside.address, int(inside.env["PORT"])), Handler) as server:
        inside.print("listening")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        inside.terminated.wait()
        server.shutdown()
        thread.join()
    return 143


def fake_stubborn(inside: Inside) -> int:
    inside.print("ready")
    inside.killed.wait()
    return 137


def fake_polite(inside: Inside) -> int:
    inside.print("ready")
    inside.terminated.wait()
    inside.print("bye")
    return 0


def fake_lines(inside: Inside) -> int:
    for word in ("one", "two", "three", "four", "five"):
        inside.print(word)
    return 0


def fake_failing(inside: Inside) -> int:
    inside.print("about to fail")
    return 7


def fake_chatter(inside: Inside) -> int:
    while not inside.killed.wait(0.0001):
        inside.print("chatter")
    return 137


def fake_no_newline(inside: Inside) -> int:
    inside.print("whole\nrest")
    return 0


def fake_filler(inside: Inside) -> int:
    Path(inside.env["FILL"]).write_bytes(os.urandom(24 << 20))
    inside.killed.wait()
    return 137


FAKES = {
    "server": fake_server, "stubborn": fake_stubborn, "polite": fake_polite, "lines": fake_lines,
    "failing": fake_failing, "chatter": fake_chatter, "no-newline": fake_no_newline, "filler": fake_filler,
}  # fmt: skip


@dataclass
class House:
    """A runtime under test and how to make another driver object for the same containers."""

    kind: str
    make: Callable[[], Any]
    layer: Path
    made: list[Any] = field(default_factory=list)

    def driver(self) -> Runtime:
        """Another one: the platform after a restart."""
        runtime = self.make()
        self.made.append(runtime)
        return runtime

    def spec(self, program: str, *, id: str | None = None, port: bool = False, **changes: Any) -> ContainerSpec:
        command = [program] if self.kind == "memory" else ["/usr/bin/python3", "-u", "-c", SOURCES[program]]
        values: dict[str, Any] = {
            "id": id or f"c-{uuid.uuid4().hex[:12]}", "kind": ContainerKind.REPLICA, "app_id": "app-1",
            "organization_id": "org-1", "name": "web.1", "command": command, "env": {"GREETING": "hello"},
            "uid": 31_234, "limits": Limits(cpu_millis=1000, memory_mb=128, disk_mb=16), "layers": [self.layer],
            "port": port,
        }  # fmt: skip
        return ContainerSpec(**(values | changes))


def eventually(look: Callable[[], Any], *, timeout_s: float = 20.0) -> Any:
    """What `look` returns as soon as it is true; fails when that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError("it did not become true in time")
        time.sleep(0.01)
    return found


def free_network() -> IPv4Network:
    """Anywhere free in a large pool, so that two test runs at once on one machine hardly choose the same."""
    taken = taken_networks()
    candidates = list(IPv4Network("10.212.0.0/14").subnets(new_prefix=20))
    random.shuffle(candidates)  # which one is of no importance to any test
    return next(network for network in candidates if not any(network.overlaps(other) for other in taken))
