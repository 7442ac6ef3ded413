"""What goes on when processes of the platform are lost. Each test leaves the cluster whole again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from cluster_state import (
    BACK_S,
    app_tasks,
    deployed_in_spite,
    expect_addresses_elsewhere,
    in_spite,
    load_on,
    parts,
    ready,
    refused,
    scale_part,
)
from engines import Node
from load import running
from site_under_test import Client, eventually

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200), pytest.mark.usefixtures("whole")]


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


def routers(node: Node) -> list[int]:
    """Traefik's processes in the ingress of a machine."""
    with node.speaking() as engine:
        owner = engine.get("/containers/skypanel-ingress/json")["State"]["Pid"]
    found: list[int] = []
    if not owner:
        return found
    network = Path(f"/proc/{owner}/ns/net").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() == "traefik\n" and (process / "ns" / "net").readlink() == network:
                found.append(int(process.name))
    return found


def answered_by_a_replica(grown: Cluster, target: str) -> bool:
    try:
        answer = grown.http.get(f"http://{grown.first.address}/", headers={"Host": f"{target}.apps.localhost"})
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def test_a_router_that_is_restarted_while_control_plane_and_engine_are_away_serves(
    grown: Cluster, ada: Client, target: str
) -> None:
    before = routers(grown.first)
    for name in ("server", "worker", "postgres"):
        scale_part(grown, name, 0)
    try:
        eventually(lambda: not any(parts(grown, name) for name in ("server", "worker", "postgres")), within=90)
        grown.first.kill()  # the engine; its containers go on
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: answered_by_a_replica(grown, target), within=30, what="an answer through the new router")
        with running(load_on(grown, target)) as load:
            time.sleep(5)
        assert load.failures == []
    finally:
        grown.first.start()
        for name, copies in (("postgres", 1), ("server", 2), ("worker", 2)):
            eventually(lambda n=name, c=copies: in_spite(lambda: scale_part(grown, n, c) or True), within=BACK_S)
    after = eventually(lambda: in_spite(lambda: routers(grown.first)), within=BACK_S, what="the ingress of the first")
    assert not set(before) & set(after)


@pytest.mark.parametrize("part", ["server", "worker"])
def test_losing_a_copy_of_the_control_plane_is_unnoticed(part: str, grown: Cluster, ada: Client, target: str) -> None:
    with running(load_on(grown, target)) as load:
        _, pid = parts(grown, part)[0]
        os.kill(pid, signal.SIGKILL)
        if part == "server":  # a request that the dying process has taken is lost; whose it was asks again
            deployed_in_spite(ada, target)
        else:
            ada.deployed(target)
    assert load.failures == []
    eventually(lambda: len(parts(grown, part)) == 2, within=60, what="two copies again")


def test_replicas_are_reached_at_addresses_that_another_machine_had_moments_ago(
    grown: Cluster, ada: Client, target: str
) -> None:
    """As when a manager is lost and the next one gives addresses out again from the lowest."""
    expect_addresses_elsewhere(grown, ada.organization_id[-12:])
    ada.deployed(target)


def tasks_of(grown: Cluster, *names: str) -> set[str]:
    with grown.first.speaking() as engine:
        return {
            task["ID"] for name in names
            for task in engine.get("/tasks", filters={"service": [f"skypanel-{name}"], "desired-state": ["running"]})
        }  # fmt: skip


def edges(node: Node) -> set[str]:
    with node.speaking() as engine:
        return {each["Id"] for each in engine.get("/containers/json", filters={"label": ["skypanel.part=edge"]})}


def test_a_change_of_the_stack_is_rolled_out_without_a_failed_request_and_restarts_only_what_changed(
    grown: Cluster, ada: Client, target: str
) -> None:
    kept, changed = tasks_of(grown, "postgres", "registry"), tasks_of(grown, "server", "worker")
    edge = edges(grown.first)
    said = grown.env | {"SKYPANEL_LOG_LEVEL": "debug"}
    with running(load_on(grown, target)) as load:
        grown.init(env=said)
        ada.deployed(target)
    # No connection is refused. A Traefik that ends closes what is idle, and streams after ten seconds.
    assert refused(load) == []
    assert tasks_of(grown, "postgres", "registry") == kept
    assert not tasks_of(grown, "server", "worker") & changed
    assert not edges(grown.first) & edge
