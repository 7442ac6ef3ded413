"""Debian's docker-registry as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from skypanel.manage.cluster.stack import REGISTRY_CONFIG


def _config(directory: Path, address: str, *, cached: bool) -> str:
    """What a cluster's registry is told, but for where it listens and keeps things, and without a password."""
    config = yaml.safe_load(REGISTRY_CONFIG)
    config["storage"]["filesystem"]["rootdirectory"] = str(directory)
    if cached:
        config["storage"]["cache"] = {"blobdescriptor": "inmemory"}
    return yaml.safe_dump({**config, "log": {"level": "error"}, "http": {"addr": address}, "auth": {}})


@contextmanager
def registry(directory: Path, address: str = "127.0.0.1", *, cached: bool = False) -> Iterator[str]:
    """Its host:port; what it keeps is in `directory / "data"`. `cached`: unlike a cluster's."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    where = f"{address}:{port}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yml").write_text(_config(directory / "data", where, cached=cached))
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
