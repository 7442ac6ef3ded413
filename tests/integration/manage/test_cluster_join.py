"""`skypanel cluster join` of a machine in the swarm: whom its engine trusts, and which password it is given."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from engine_stand_in import StandIn, engine_stand_in

from skypanel.drivers.engine.client import EngineClient
from skypanel.manage.cluster.join import Invitation, Role, invitation, join
from skypanel.settings import Settings

# httpcore leaves a socket that could not be connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

INVITED = Invitation(
    ["192.0.2.11"], "worker", "manager", "registry.internal:5000", "skypanel", "sesame", "authority", "edge",
    "registry.internal:5000/skypanel/platform@sha256:0", "registry.internal:5000/skypanel/stack:24", {},
)  # fmt: skip


@dataclass
class There:
    """A machine that keeps what it is told."""

    engine: EngineClient
    trusted: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)

    def address(self) -> str:
        return "192.0.2.21"

    def trust(self, registry: str, authority: str, managers: Sequence[str]) -> None:
        self.trusted.append((registry, authority, managers))

    def keep_key(self, directory: Path, token: str) -> None:
        raise AssertionError("it takes no visitors")

    def has(self, path: Path) -> bool:
        raise AssertionError("it is no manager")


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[There, StandIn]]:
    with engine_stand_in(tmp_path) as engine:
        engine.swarm["LocalNodeState"] = "active"
        engine.known["POST /images/create"] = {"status": "pulled"}
        with EngineClient(engine.socket) as client:
            yield There(client), engine
    gc.collect()  # here, where its warnings are expected


def test_the_clusters_own_registry_is_trusted_and_asked_with_its_password(there: tuple[There, StandIn]) -> None:
    place, engine = there
    join(Settings(), Invitation.read(INVITED.text()), Role(), print, place)
    assert place.trusted == [("registry.internal:5000", "authority", ["192.0.2.11"])]
    assert len(engine.passwords) == 2


def test_an_insecure_registry_of_ones_own_keeps_its_name_and_gets_no_password(there: tuple[There, StandIn]) -> None:
    place, engine = there
    invited = replace(INVITED, registry_insecure=True)
    join(Settings(), Invitation.read(invited.text()), Role(), print, place)
    assert place.trusted == []
    assert engine.done == ["POST /images/create"] * 2
    assert engine.passwords == []


def test_the_token_says_that_the_registry_is_insecure(there: tuple[There, StandIn], tmp_path: Path) -> None:
    _, engine = there
    engine.swarm["ControlAvailable"] = True
    engine.known |= {
        "GET /swarm": {"JoinTokens": {"Worker": "w", "Manager": "m"}}, "GET /nodes": [],
        "GET /services/skypanel-server": {"Spec": {"TaskTemplate": {"ContainerSpec": {"Image": "image"}}}},
    }  # fmt: skip
    (tmp_path / "keys").mkdir()
    for name in ("registry.key", "registry-ca.crt", "edge.key"):
        (tmp_path / "keys" / name).write_text("x")
    for insecure in (True, False):
        settings = Settings(data_dir=tmp_path, docker_socket=engine.socket, registry_insecure=insecure)
        assert invitation(settings).registry_insecure is insecure
