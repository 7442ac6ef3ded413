"""No request fails while verbs run, on several machines."""

from __future__ import annotations

import pytest
from load import Load
from site_under_test import Client
from verbs import VERBS, no_request_fails

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]

ROUNDS = 3


@pytest.mark.parametrize("verb", VERBS)
def test_no_request_fails(verb: str, grown: Cluster, ada: Client, target: str) -> None:
    no_request_fails(Load(f"{target}.apps.localhost", 80, grown.first.address), ada, target, verb, ROUNDS)
