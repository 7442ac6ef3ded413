"""No request fails while verbs run, on several machines."""

from __future__ import annotations

import pytest
from load import Load, running
from site_under_test import Client, eventually
from verbs import VERBS

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]

ROUNDS = 3  # twenty of each in bench/cluster.py


@pytest.mark.parametrize("verb", VERBS)
def test_no_request_fails(verb: str, grown: Cluster, ada: Client, target: str) -> None:
    with running(Load(f"{target}.apps.localhost", 80, grown.first.address)) as load:
        eventually(lambda: load.done["new"] > 50, what="load")
        for number in range(ROUNDS):
            VERBS[verb](ada, target, number)
    assert load.failures == []
    for kind in ("new", "keep-alive", "websocket", "events", "slow"):
        assert load.done[kind] > 0, load.done
