"""No request fails while verbs run: new connections, keep-alive, a WebSocket, an event stream, slow requests."""

from __future__ import annotations

import pytest
from load import Load, running
from site_under_test import Client, eventually
from verbs import VERBS

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

ROUNDS = 3  # twenty of each in bench/zero_failed.py


@pytest.fixture(scope="module")
def target(ada: Client, load_target: str) -> str:
    ada.create("target", load_target, health_check={"type": "http", "path": "/"})
    ada.deployed("target")
    return "target"


@pytest.mark.parametrize("verb", VERBS)
def test_no_request_fails(verb: str, ada: Client, target: str) -> None:
    with running(Load("target.apps.localhost", ada.site.port)) as load:
        eventually(lambda: load.done["new"] > 50, what="load")
        for number in range(ROUNDS):
            VERBS[verb](ada, target, number)
    assert load.failures == []
    for kind in ("new", "keep-alive", "websocket", "events", "slow"):
        assert load.done[kind] > 0, load.done
