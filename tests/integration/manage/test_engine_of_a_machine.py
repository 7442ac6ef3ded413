"""What looks after a machine through its engine, where the engine is slow, restarts or is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_stand_in import Container, StandIn
from site_under_test import eventually

from skypanel.drivers.engine.client import EngineClient
from skypanel.drivers.runtime.swarm.names import DISK
from skypanel.manage.cluster import disk_keeper
from skypanel.manage.cluster.agent import Agent
from skypanel.manage.cluster.disk_keeper import DiskKeeper
from skypanel.manage.cluster.edge_node import OWNER, revive
from skypanel.manage.cluster.stack import PART
from skypanel.settings import Settings

# httpcore leaves a socket that could not be connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

PATIENCE_S = 5.0
HOUR_S = 3600.0
MEBI = 1 << 20


@pytest.fixture
def client(engine: StandIn) -> Iterator[EngineClient]:
    with EngineClient(engine.socket) as client:
        yield client


def part(name: str, **changes: str) -> Container:
    values = {"state": "exited", "network": f"container:{OWNER}" if name == "edge" else "bridge"} | changes
    return Container({PART: name}, **values)


def test_the_ingress_is_started_again_the_owner_of_its_network_first(engine: StandIn, client: EngineClient) -> None:
    engine.containers = {"edge-1": part("edge"), OWNER: part("ingress")}
    assert revive(client)
    assert engine.done == [f"POST /containers/{OWNER}/start", "POST /containers/edge-1/start"]
    assert not revive(client), "both run"
    assert len(engine.done) == 2


def test_the_edge_alone_is_started_again_when_its_owner_runs(engine: StandIn, client: EngineClient) -> None:
    engine.containers = {OWNER: part("ingress", state="running"), "edge-1": part("edge")}
    assert revive(client)
    assert engine.done == ["POST /containers/edge-1/start"]


def test_what_was_replaced_or_just_made_is_left_alone(engine: StandIn, client: EngineClient) -> None:
    engine.containers = {
        OWNER: part("ingress", state="running"),
        "replaced": part("edge", restart="no"),
        "just-made": part("edge", state="created"),
        "somebody's": Container({}, state="exited"),
    }
    assert not revive(client)
    assert engine.done == []


@dataclass
class Clock:
    """Stands for the module `time`: goes on when it is waited for, and then calls `passed`."""

    now: float = 1000.0
    passed: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.passed()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("skypanel.drivers.engine.client.time", clock)
    return clock


@pytest.mark.parametrize("events_end", [True, False], ids=["events that end", "events that break off"])
def test_an_engine_that_restarts_within_patience_ends_nobody(
    engine: StandIn, client: EngineClient, clock: Clock, events_end: bool
) -> None:
    """Three times, each an hour after the last; then it stays away."""
    engine.events_end = events_end
    gone: list[float] = []

    def followed() -> None:
        clock.now += HOUR_S
        gone.append(clock.now)
        engine.stop()

    def passed() -> None:
        if len(gone) <= 3 and clock.now - gone[-1] > PATIENCE_S * 0.8:
            engine.start()

    engine.followed, clock.passed = followed, passed
    client.await_end(PATIENCE_S)
    assert len(gone) == 4
    assert PATIENCE_S <= clock.now - gone[-1] < PATIENCE_S + 1


def test_an_engine_that_is_not_there_at_all_is_given_the_same_patience(
    engine: StandIn, client: EngineClient, clock: Clock
) -> None:
    engine.stop()
    began = clock.now
    client.await_end(PATIENCE_S)
    assert PATIENCE_S <= clock.now - began < PATIENCE_S + 1


def test_an_engine_that_answers_but_tells_no_events_is_there(
    engine: StandIn, client: EngineClient, clock: Clock
) -> None:
    """As one that starts up, or is asked for more than it can do."""
    engine.events_refused = True
    asked = 0

    def passed() -> None:
        nonlocal asked
        asked += 1
        if asked == 100:
            engine.stop()

    clock.passed = passed
    client.await_end(PATIENCE_S)
    assert asked > 100


@pytest.fixture
def impatient(engine: StandIn) -> Iterator[EngineClient]:
    with EngineClient(engine.socket, timeout_s=0.2) as client:
        yield client


def ended(engine: StandIn, name: str) -> bool:
    return engine.containers[name].state == "exited"


def test_a_disk_that_takes_long_to_count_is_waited_for(engine: StandIn, impatient: EngineClient) -> None:
    engine.containers = {
        "hog": Container({DISK: "16"}, written=17 * MEBI, counting_s=0.5),
        "modest": Container({DISK: "16"}, written=16 * MEBI),
    }
    DiskKeeper(impatient).look()
    eventually(lambda: ended(engine, "hog"), within=5)
    assert not ended(engine, "modest")
    assert engine.done[0] == "POST /containers/hog/exec", "it says why before it ends"


def test_a_disk_that_takes_long_to_count_gives_no_other_time_to_write(engine: StandIn, impatient: EngineClient) -> None:
    engine.containers = {
        "long": Container({DISK: "16"}, written=17 * MEBI, counting_s=3), "hog": Container({DISK: "16"})
    }  # fmt: skip
    keeper = DiskKeeper(impatient)
    keeper.look()
    engine.containers["hog"].written = 17 * MEBI
    eventually(lambda: keeper.look() or ended(engine, "hog"), within=2)
    assert not ended(engine, "long")


def test_a_disk_that_cannot_be_counted_is_said_and_not_counted_again_at_once(
    engine: StandIn, impatient: EngineClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk_keeper, "COUNT_S", 0.2)
    engine.containers = {"endless": Container({DISK: "16"}, written=17 * MEBI, counting_s=0.5)}
    keeper = DiskKeeper(impatient)
    keeper.look()
    eventually(lambda: "what endless wrote to its disk is not known" in caplog.text, within=5)
    engine.containers["endless"].counting_s = 0.0
    keeper.look()
    time.sleep(0.3)
    assert not ended(engine, "endless")


@pytest.fixture
def agent(client: EngineClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    monkeypatch.setattr("skypanel.manage.cluster.agent.RESOLVERS", tmp_path / "resolv.conf")
    return Agent(Settings(data_dir=tmp_path, registry_insecure=True), client)


def programs(directory: Path, monkeypatch: pytest.MonkeyPatch, nft: str | None) -> None:
    """The only one there is, or none."""
    (directory / "bin").mkdir()
    if nft is not None:
        (directory / "bin" / "nft").write_text(f"#!/bin/sh\n{nft}\n")
        (directory / "bin" / "nft").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory / "bin"))


@pytest.mark.parametrize("nft", [None, "echo 'Operation not permitted' >&2; exit 1"], ids=["not there", "refused"])
def test_a_firewall_that_cannot_be_had_does_not_keep_the_ingress_down(
    engine: StandIn, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    nft: str | None,
) -> None:  # fmt: skip
    programs(tmp_path, monkeypatch, nft)
    engine.containers = {"edge-1": part("edge"), OWNER: part("ingress")}
    agent.look()
    assert {each.state for each in engine.containers.values()} == {"running"}
    (said,) = [line for line in caplog.messages if "firewall of this machine" in line]
    assert ("nft is not installed" if nft is None else "Operation not permitted") in said


def test_an_ingress_that_cannot_be_had_does_not_keep_the_firewall_down(
    engine: StandIn, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    programs(tmp_path, monkeypatch, f'while read -r line; do echo "$line"; done >{tmp_path}/rules')
    engine.containers = {"edge-1": part("edge", network="container:lost")}
    agent.look()
    assert "table inet skypanel_node" in (tmp_path / "rules").read_text()
    assert "ingress of this machine: No such container: lost" in caplog.text


def greeted(engine: StandIn) -> list[str]:
    return [each.split("/")[2] for each in engine.done if each.endswith("/exec")]


def test_each_container_of_the_platform_is_heard_once_in_its_networks(
    engine: StandIn, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, "exit 0")
    engine.containers = {"database-1": Container({PART: "postgres"}), "web-1": Container({DISK: "16"})}
    agent.look()
    agent.look()
    assert greeted(engine) == ["database-1"]
    engine.containers["database-2"] = Container({PART: "postgres"})
    agent.look()
    assert greeted(engine) == ["database-1", "database-2"]


def test_a_container_without_a_shell_keeps_no_other_from_being_heard(
    engine: StandIn, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    programs(tmp_path, monkeypatch, "exit 0")
    engine.containers = {"bare": Container({PART: "registry"}, shell=False), "database": Container({PART: "postgres"})}
    agent.look()
    agent.look()
    assert greeted(engine) == ["bare", "database"]
    assert "trying again" not in caplog.text


def test_an_engine_that_is_away_does_not_end_the_agent(engine: StandIn, agent: Agent) -> None:
    engine.stop()
    agent.look()
