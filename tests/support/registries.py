"""Debian's docker-registry as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""


@contextmanager
def registry(directory: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Its host:port."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    where = f"{address}:{port}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yml").write_text(CONFIG.format(root=directory / "data", address=where))
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=log,
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://{where}/v2/", trust_env=False)
                break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise AssertionError((directory / "log").read_text()) from None
                time.sleep(0.05)
        yield where
    finally:
        process.terminate()
        process.wait()
