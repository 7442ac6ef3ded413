"""No request fails while verbs run: new connections, keep-alive, a WebSocket, an event stream, slow requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from load import Load
from site_under_test import Client, eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

ROUNDS = 3  # twenty of each in bench/zero_failed.py


@contextmanager
def under_load(client: Client, slug: str) -> Iterator[Load]:
    load = Load(f"{slug}.apps.localhost", client.site.port)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(load.run(stop)))
    thread.start()
    try:
        yield load
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


@pytest.fixture(scope="module")
def target(ada: Client, load_target: str) -> str:
    ada.create("target", load_target, health_check={"type": "http", "path": "/"})
    ada.deployed("target")
    return "target"


def scale(client: Client, slug: str, replicas: int) -> None:
    client.job(client.call("POST", f"/paas/apps/{slug}/scale", {"replicas": replicas})["job_id"])


def change_env(client: Client, slug: str, number: int) -> None:
    answer = client.call("PUT", f"/paas/apps/{slug}/env", {"vars": {"APP_VERSION": f"n{number}"}})
    client.ran(slug, answer["deployment"]["version"])


def roll_back(client: Client, slug: str) -> None:
    version = client.app(slug)["current_version"]
    answer = client.call("POST", f"/paas/apps/{slug}/rollback", {"version": version - 1})
    client.ran(slug, answer["deployment"]["version"])


VERBS: dict[str, Callable[[Client, str, int], object]] = {
    "deploy": lambda client, slug, _n: client.deployed(slug),
    "rollback": lambda client, slug, _n: roll_back(client, slug),
    "scale": lambda client, slug, n: scale(client, slug, 3 if n % 2 == 0 else 1),
    "restart": lambda client, slug, _n: client.job(client.call("POST", f"/paas/apps/{slug}/restart")["job_id"]),
    "env": change_env,
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_request_fails(verb: str, ada: Client, target: str) -> None:
    with under_load(ada, target) as load:
        eventually(lambda: load.done["new"] > 50, what="load")
        for number in range(ROUNDS):
            VERBS[verb](ada, target, number)
    assert load.failures == []
    for kind in ("new", "keep-alive", "websocket", "events", "slow"):
        assert load.done[kind] > 0, load.done
