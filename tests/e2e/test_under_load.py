"""No request fails while verbs run: new connections, keep-alive, a WebSocket, an event stream, slow requests."""

from __future__ import annotations

import pytest
from load import Load
from site_under_test import Client
from verbs import VERBS, no_request_fails

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

ROUNDS = 3  # twenty of each in bench/zero_failed.py


@pytest.fixture(scope="module")
def target(ada: Client, load_target: str) -> str:
    ada.create("target", load_target, health_check={"type": "http", "path": "/"})
    ada.deployed("target")
    return "target"


@pytest.mark.parametrize("verb", VERBS)
def test_no_request_fails(verb: str, ada: Client, target: str) -> None:
    no_request_fails(Load("target.apps.localhost", ada.site.port), ada, target, verb, ROUNDS)
