"""`kill -9` of the platform's processes in the middle of a deploy: a true end, no gap for visitors, no leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from git_http import Executable, GitHttpServer
from sample_apps import plain_server
from site_under_test import Client, eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROCESSES = {"worker": "skypanel.manage.worker", "server": "skypanel.server:create_app", "router": "traefik"}


def kill(client: Client, process: str) -> None:
    pids = client.site.pids(PROCESSES[process])
    assert pids, f"no {process} found"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def containers(client: Client) -> set[str]:
    """Containers that run, as runc itself knows them, not as the platform tells."""
    found = subprocess.run(["pgrep", "-af", "conmon"], capture_output=True, text=True, check=False).stdout
    return {line for line in found.splitlines() if str(client.site.data_dir) in line}


@pytest.fixture
def app(ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]) -> str:
    name = unique("killed")
    repositories.make(name, plain_server())
    ada.create(name, repositories.url(name))
    ada.deployed(name)
    return name


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("stage", ["build", "start", "check", "switch"])
def test_a_deploy_survives_a_killed_process(
    process: str, stage: str, ada: Client, app: str, repositories: GitHttpServer
) -> None:
    slow = "time.sleep(1.5)" if stage in ("start", "check") else ""
    code = plain_server(body="newer")["server.py"].replace(
        "import http.server, os", f"import http.server, os, time; {slow}"
    )
    files = {"server.py": code, "bin/post_compile": Executable("#!/bin/sh\nsleep 1\n")}
    repositories.commit(app, files)
    version = ada.deploy(app)
    deadline = time.monotonic() + 30
    while ada.deployment(app, version)["stage"] != stage and time.monotonic() < deadline:
        if ada.deployment(app, version)["finished_at"]:
            break
    kill(ada, process)
    if process != "router":
        assert ada.get(app).status_code == 200
    else:
        eventually(lambda: _answers(ada, app), within=5, what="an answer through a new router")
    eventually(lambda: _platform_answers(ada), within=30, what="the platform's own answer")
    found = ada.settled(app, version, within=60)
    assert found["status"] == "running", found
    assert ada.get(app).text == "newer"
    names = eventually(lambda: [r["name"] for r in ada.replicas(app)] == ["web.1"], within=30, what="one replica")
    assert names
    assert not list((ada.site.data_dir / "builds").iterdir())


def _answers(client: Client, app: str) -> bool:
    try:
        return client.get(app).status_code == 200
    except OSError:
        return False


def _platform_answers(client: Client) -> bool:
    import httpx

    try:
        return client.site.http.get(f"{client.site.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_stopping_and_starting_the_platform_touches_no_app(ada: Client, app: str) -> None:
    before = containers(ada)
    assert before
    replica = ada.replicas(app)[0]
    ada.site.stop()
    assert containers(ada) == before
    ada.site.start()
    assert ada.get(app).text == "good"
    assert ada.replicas(app)[0]["started_at"] == replica["started_at"]


def test_after_a_reboot_everything_comes_back(ada: Client, app: str) -> None:
    ada.site.stop()
    subprocess.run(["pkill", "-9", "-f", f"conmon.*{ada.site.data_dir}"], check=False)
    for line in subprocess.run(["pgrep", "-f", str(ada.site.data_dir)], capture_output=True, text=True).stdout.split():
        os.kill(int(line), signal.SIGKILL)
    ada.site.start()
    eventually(lambda: _answers(ada, app) and ada.get(app).text == "good", within=60, what="the app after a reboot")
