"""What goes on when parts of the cluster are lost. Each test leaves the cluster whole again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from engines import Node
from load import Load, running
from site_under_test import Client, eventually

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]
BACK_S = 120  # for everything to be as it was; the times themselves are in the closing note of each run's log


def app_tasks(grown: Cluster, app_id: str) -> list[dict[str, Any]]:
    with grown.first.speaking() as engine:
        names = [s["ID"] for s in engine.get("/services") if s["Spec"]["Labels"].get("skypanel.app") == app_id]
        return [t for t in engine.get("/tasks", filters={"service": names}) if t["DesiredState"] == "running"]


def scale_part(grown: Cluster, name: str, copies: int) -> None:
    with grown.first.speaking() as engine:
        found = engine.get(f"/services/skypanel-{name}")
        found["Spec"]["Mode"] = {"Replicated": {"Replicas": copies}}
        engine.post(f"/services/{found['ID']}/update", found["Spec"], version=str(found["Version"]["Index"]))


def parts(grown: Cluster, name: str) -> list[tuple[Node, int]]:
    """Machine and main process of each copy of a part that runs."""
    found = []
    for node in grown.fabric.nodes.values():
        with node.speaking() as engine:
            for each in engine.get("/containers/json", filters={"label": [f"skypanel.part={name}"]}):
                found.append((node, engine.get(f"/containers/{each['Id']}/json")["State"]["Pid"]))
    return found


def ready(grown: Cluster) -> bool:
    answers = [
        grown.http.get(f"http://{grown.fabric.nodes[name].address}/readyz", headers={"Host": "localhost"}).status_code
        for name in ("m1", "m2")
    ]
    return answers == [200, 200]


@pytest.fixture(autouse=True)
def whole(grown: Cluster, ada: Client, target: str) -> Iterator[None]:
    wanted = ada.app(target)["formation"]["web"]
    eventually(lambda: settled(grown, ada, target, wanted), within=BACK_S, every=0.5, what="nothing under way")
    yield
    eventually(lambda: ready(grown), within=BACK_S, every=0.5, what="a whole cluster")
    eventually(lambda: settled(grown, ada, target, wanted), within=BACK_S, every=0.5, what="all replicas again")


def settled(grown: Cluster, ada: Client, target: str, wanted: int) -> bool:
    """Nothing drains any more, and everything that is wanted is healthy."""
    states = [replica["state"] for replica in ada.replicas(target)]
    return states == ["healthy"] * wanted and len(app_tasks(grown, ada.app(target)["id"])) == wanted


def load_on(grown: Cluster, target: str) -> Load:
    return Load(f"{target}.apps.localhost", 80, grown.first.address, slow_s=2.0)


def test_without_control_plane_and_database_no_request_fails_and_afterwards_nothing_changes(
    grown: Cluster, ada: Client, target: str
) -> None:
    app_id = ada.app(target)["id"]
    before = {task["ID"] for task in app_tasks(grown, app_id)}
    with running(load_on(grown, target)) as load:
        for name in ("server", "worker", "postgres"):
            scale_part(grown, name, 0)
        eventually(lambda: not any(parts(grown, name) for name in ("server", "worker", "postgres")), within=90)
        time.sleep(float(os.environ.get("SKYPANEL_TEST_AWAY_S", "30")))
        for name, copies in (("postgres", 1), ("server", 2), ("worker", 2)):
            scale_part(grown, name, copies)
        eventually(lambda: ready(grown), within=BACK_S, every=0.5, what="a whole cluster")
        time.sleep(40)  # a whole reconciliation
    assert load.failures == []
    assert {task["ID"] for task in app_tasks(grown, app_id)} == before


@pytest.mark.parametrize("part", ["server", "worker"])
def test_losing_a_copy_of_the_control_plane_is_unnoticed(part: str, grown: Cluster, ada: Client, target: str) -> None:
    with running(load_on(grown, target)) as load:
        _, pid = parts(grown, part)[0]
        os.kill(pid, signal.SIGKILL)
        ada.deployed(target)
    assert load.failures == []
    eventually(lambda: len(parts(grown, part)) == 2, within=60, what="two copies again")
