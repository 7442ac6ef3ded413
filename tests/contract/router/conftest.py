"""The fake and the real router, each empty and ready."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skypanel.drivers.router.memory import MemoryRouter
from skypanel.drivers.router.port import Router
from skypanel.drivers.router.traefik.command import launcher_command
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.router.traefik.setup import prepare


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def traefik(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraefikRouter]:
    directory: Path = tmp_path_factory.mktemp("router") / "router"
    unprivileged = 65534 if os.geteuid() == 0 else None
    config = RouterConfig(
        directory=directory, host="127.0.0.1", http_port=_free_port(), https_port=_free_port(),
        server_url="http://127.0.0.1:9", dashboard_host="panel.test", uid=unprivileged, gid=unprivileged,
    )  # fmt: skip
    prepare(config, now=datetime.now(UTC))
    launcher = subprocess.Popen(launcher_command(config))
    driver = TraefikRouter(directory=directory, host="127.0.0.1", http_port=config.http_port, gid=unprivileged)
    deadline = time.monotonic() + 20
    while not driver.ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield driver
    launcher.terminate()
    launcher.wait(timeout=20)


@pytest.fixture(params=["memory", "traefik"])
def router(request: pytest.FixtureRequest) -> Router:
    if request.param == "memory":
        return MemoryRouter()
    driver: TraefikRouter = request.getfixturevalue("traefik")
    for key in driver.routes():
        driver.remove(key)
    return driver
