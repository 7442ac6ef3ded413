"""The ingress machines are in an organization's network before anything of it starts elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from skypanel.drivers.probe_edges import ThroughEdges
from skypanel.drivers.runtime.swarm.networks import Networks
from skypanel.edge.probes import ProbeServer
from skypanel.kit.secret import Secret

TOKEN = Secret("of-the-edges")


class Ingress:
    """A node as the control plane asks it, and whose engine is not there."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.broken = False
        nothing: Any = None
        self.server = ProbeServer("127.0.0.1", 0, token=TOKEN, networks=self, access=nothing)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def join(self, network: str) -> bool:
        if self.broken:
            raise OSError("the engine does not answer")
        if network in self.joined:
            return False
        self.joined.append(network)
        return True

    def alive(self) -> bool:
        return True

    @property
    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.server_address[1]


@pytest.fixture
def ingress() -> Iterator[list[Ingress]]:
    nodes = [Ingress(), Ingress()]
    yield nodes
    for node in nodes:
        node.server.shutdown()
        node.server.server_close()


@pytest.fixture
def edges(ingress: list[Ingress]) -> Iterator[ThroughEdges]:
    found = ThroughEdges(lambda: [node.place for node in ingress], token=TOKEN)
    yield found
    found.close()


def test_every_node_enters_and_says_whether_it_was_in_already(ingress: list[Ingress], edges: ThroughEdges) -> None:
    assert edges.enter("org-1")
    assert [node.joined for node in ingress] == [["org-1"], ["org-1"]]
    assert not edges.enter("org-1")
    ingress[1].joined.clear()
    assert edges.enter("org-1")


def test_a_node_that_cannot_enter_keeps_nobody_waiting(ingress: list[Ingress], edges: ThroughEdges) -> None:
    ingress[0].broken = True
    ingress[1].server.shutdown()
    ingress[1].server.server_close()
    assert not edges.enter("org-1")


def test_only_the_control_plane_has_a_node_enter(ingress: list[Ingress]) -> None:
    host, port = ingress[0].place
    url = f"http://{host}:{port}/join?network=org-1"
    assert httpx.post(url, headers={"Authorization": "Bearer guessed"}, trust_env=False).status_code == 404
    assert httpx.get(url, headers={"Authorization": f"Bearer {TOKEN.reveal()}"}, trust_env=False).status_code == 404
    assert ingress[0].joined == []


API: Any = SimpleNamespace(instance="0011aabb", network=lambda organization_id: f"id of {organization_id}")
ORGANIZATION = "01a22ad8-913b-76ad-bde6-f0870a52c0f5"


def test_a_network_that_was_just_entered_is_heard_of_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skypanel.drivers.runtime.swarm.networks.HEARD_S", 0.2)
    expected, entered = threading.Event(), list[tuple[str, bool]]()

    def enter(network: str) -> bool:
        entered.append((network, expected.wait(20)))
        return True

    networks = Networks(API, enter)
    networks.expect(ORGANIZATION)
    began = time.monotonic()
    expected.set()  # who builds goes on meanwhile
    assert networks.of(ORGANIZATION, reached=True) == f"id of {ORGANIZATION}"
    assert time.monotonic() - began >= 0.2, "what is expected already is waited for"
    networks.of(ORGANIZATION, reached=True)
    assert entered == [("0011aabb-org-f0870a52c0f5", True)]


def test_a_network_that_all_were_in_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skypanel.drivers.runtime.swarm.networks.HEARD_S", -1.0)  # nobody can wait for so long
    assert Networks(API, lambda _network: False).of(ORGANIZATION, reached=True) == f"id of {ORGANIZATION}"


def test_a_build_does_not_wait_for_the_routers() -> None:
    def enter(network: str) -> bool:
        raise AssertionError(f"nobody asks for anything in {network}")

    assert Networks(API, enter).of(ORGANIZATION, reached=False) == f"id of {ORGANIZATION}"
