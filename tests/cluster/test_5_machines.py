"""What goes on when machines are lost. Each test leaves the cluster whole again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster_state import BACK_S, app_tasks, deployed_in_spite, in_spite, load_on, parts, refused
from engines import Node, sh
from git_http import GitHttpServer
from load import Load, running
from sample_apps import load_target
from site_under_test import Client, eventually
from ssh import ssh_server

from cluster import SKYPANEL, Cluster

CUT_OFF = 0.01  # of all requests: one of two replicas, for the half second until no route leads to its machine
GIVEN_UP_S = 32  # manage/cluster/edge_node.py: tcp_retries2

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200), pytest.mark.usefixtures("whole")]


def placed(grown: Cluster, app_id: str) -> dict[str, int]:
    """Host name -> running tasks of the app."""
    with grown.first.speaking() as engine:
        names = {each["ID"]: each["Description"]["Hostname"] for each in engine.get("/nodes")}
    found: dict[str, int] = {}
    for task in app_tasks(grown, app_id):
        if task["Status"]["State"] in ("starting", "running"):
            found[names[task["NodeID"]]] = found.get(names[task["NodeID"]], 0) + 1
    return found


def busy_node(grown: Cluster, app_id: str, *, among: tuple[str, ...]) -> Node:
    """A machine that has a replica of the app."""

    def look() -> str | None:
        return next((name for name in placed(grown, app_id) if name in among), None)

    return grown.fabric.nodes[eventually(look, what=f"a replica on one of {among}")]


def elsewhere(grown: Cluster, ada: Client, target: str, lost: Node, wanted: int) -> float:
    """Seconds until as many replicas as before are healthy on other machines."""
    app_id, began = ada.app(target)["id"], time.monotonic()

    def look() -> bool:
        healthy = [r for r in ada.replicas(target) if r["state"] == "healthy" and r["node"] != lost.name]
        return len(healthy) == wanted and lost.name not in placed(grown, app_id)

    eventually(lambda: in_spite(look), within=BACK_S, every=0.5, what=f"replicas elsewhere than on {lost.name}")
    return time.monotonic() - began


def share_refused(load: Load) -> float:
    return len(refused(load)) / sum(load.done[kind] for kind in ("new", "keep-alive", "slow"))


def back(grown: Cluster, lost: Node) -> None:
    def look() -> bool:
        with grown.first.speaking() as engine:
            found = next(each for each in engine.get("/nodes") if each["Description"]["Hostname"] == lost.name)
            reachable = found.get("ManagerStatus", {}).get("Reachability", "reachable") == "reachable"
            return found["Status"]["State"] == "ready" and bool(reachable)

    eventually(lambda: in_spite(look), within=BACK_S, every=0.5, what=f"{lost.name} in the cluster")


@contextmanager
def engine_killed(grown: Cluster, node: Node) -> Iterator[None]:
    node.kill()
    try:
        yield
    finally:
        node.start()
        back(grown, node)


@contextmanager
def cable_cut(grown: Cluster, node: Node) -> Iterator[None]:
    grown.fabric.cut(node.name)
    try:
        yield
    finally:
        grown.fabric.mend(node.name)
        back(grown, node)


def led_since(node: Node) -> str:
    """When the worker there began to lead, in writing; empty when none does."""
    with node.speaking() as engine:
        for each in engine.get("/containers/json", filters={"label": ["skypanel.part=worker"]}):
            query = {"stdout": "1", "stderr": "1", "timestamps": "1"}
            text = b"".join(frame for _, frame in engine.output(f"/containers/{each['Id']}/logs", query)).decode()
            if lines := [line for line in text.splitlines() if "this worker leads now" in line]:
                return lines[-1].split()[0]
    return ""


def leading_elsewhere_than(grown: Cluster, first: Node) -> Node:
    """The machine whose worker leads, which is not the one that the test asks, and has the only worker there."""

    def look() -> Node | None:
        copies = parts(grown, "worker")
        if len(copies) < 2:
            return None
        since = {node.name: led_since(node) for node, _ in copies}
        leader = max(since, key=lambda name: since[name])
        if leader == first.name or len(since) < len(copies):
            os.kill(next(pid for node, pid in reversed(copies) if node.name == leader), signal.SIGKILL)
            return None
        return grown.fabric.nodes[leader] if since[leader] else None

    what = f"a leader elsewhere than {first.name}, and another worker elsewhere than that"
    return eventually(lambda: in_spite(look), within=BACK_S, every=1.0, what=what)


def available(root: Client, name: str) -> str:
    return str(root.call("GET", f"/admin/paas/nodes/{name}")["node"]["availability"])


def names(root: Client) -> set[str]:
    return {each["name"] for each in root.call("GET", "/admin/paas/nodes")["items"]}


def test_a_machine_is_drained_without_a_failed_request_removed_and_joins_again_by_ssh(
    grown: Cluster, ada: Client, root: Client, target: str, repositories: GitHttpServer, tmp_path: Path
) -> None:
    """Also an application with one replica goes on: its next one starts elsewhere first."""
    single = ada.create("single", load_target(repositories), health_check={"type": "http", "path": "/"})
    ada.deployed(single["slug"])
    node = busy_node(grown, single["id"], among=("m1", "m2", "m3", "w1", "w2"))
    with running(load_on(grown, target)) as load, running(load_on(grown, single["slug"])) as other:
        eventually(lambda: load.done["new"] > 50 and other.done["new"] > 50, what="load")
        assert root.call("POST", f"/admin/paas/nodes/{node.name}/drain")["node"]["availability"] == "draining"
        eventually(lambda: available(root, node.name) == "drained", within=90, what="a drained machine")
        for app in (single, ada.app(target)):
            assert node.name not in placed(grown, app["id"])
    assert (load.failures, other.failures) == ([], [])
    root.call("POST", f"/admin/paas/nodes/{node.name}/activate")

    worker = grown.fabric.nodes["w2"]
    root.call("DELETE", f"/admin/paas/nodes/{worker.name}", expect=409)
    root.call("POST", f"/admin/paas/nodes/{worker.name}/drain")
    eventually(lambda: available(root, worker.name) == "drained", within=90, what="a drained machine")
    root.call("DELETE", f"/admin/paas/nodes/{worker.name}")
    eventually(lambda: worker.name not in names(root), within=60, what="the machine gone")
    worker.run(SKYPANEL, "cluster", "leave", env=grown.env)
    assert worker.address not in names(root)
    asked = {"host": worker.address, "role": "worker"}
    with ssh_server(worker, tmp_path / "ssh") as keys:
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "another"))
        another = " ".join((tmp_path / "another.pub").read_text().split()[:2])
        root.call("POST", "/admin/paas/nodes", asked | {"private_key": keys.private, "host_key": another})
        eventually(lambda: available(root, worker.address) == "failed", within=60, what="the wrong host refused")
        root.call("POST", "/admin/paas/nodes", asked | {"private_key": keys.private, "host_key": keys.host})
        eventually(lambda: worker.name in names(root), within=90, every=0.5, what="the machine back")
    eventually(lambda: worker.address not in names(root), within=30, what="one row of it")
    assert available(root, worker.name) == "active"


def test_when_an_engine_is_killed_its_replicas_answer_on_and_return_elsewhere(
    grown: Cluster, ada: Client, target: str
) -> None:
    app = ada.app(target)
    node = busy_node(grown, app["id"], among=("w1", "w2", "m3"))
    with running(load_on(grown, target)) as load, engine_killed(grown, node):
        took = elsewhere(grown, ada, target, node, app["formation"]["web"])
        deployed_in_spite(ada, target)
    print(f"engine of {node.name} killed: replicas elsewhere after {took:.1f} s, {share_refused(load):.2%} failed")
    assert share_refused(load) < CUT_OFF  # its containers go on


def test_when_the_engine_beside_the_leading_worker_is_killed_another_worker_leads(
    grown: Cluster, ada: Client, target: str
) -> None:
    """The worker itself goes on without its engine: it must not lead on, for it can start nothing any more."""
    app = ada.create("wide", ada.app(target)["git_url"], health_check={"type": "http", "path": "/"})
    ada.deployed("wide")
    ada.call("POST", "/paas/apps/wide/scale", {"replicas": 5})
    eventually(lambda: len(placed(grown, app["id"])) >= 3, within=BACK_S, what="replicas on most machines")
    eventually(lambda: [r["state"] for r in ada.replicas("wide")] == ["healthy"] * 5, within=BACK_S, what="all healthy")
    lost = leading_elsewhere_than(grown, grown.first)
    with running(load_on(grown, "wide")) as load, engine_killed(grown, lost):
        took = elsewhere(grown, ada, "wide", lost, 5)
    failed = share_refused(load)
    print(f"engine of {lost.name} killed, whose worker led: replicas elsewhere after {took:.1f} s, {failed:.2%} failed")
    assert failed < CUT_OFF
    ada.call("DELETE", "/paas/apps/wide")


def test_when_a_machine_is_lost_the_others_answer_and_its_replicas_return_elsewhere(
    grown: Cluster, ada: Client, target: str
) -> None:
    app = ada.app(target)
    node = busy_node(grown, app["id"], among=("w1", "w2", "m3"))
    began = time.monotonic()
    with running(load_on(grown, target)) as load, cable_cut(grown, node):
        took = elsewhere(grown, ada, target, node, app["formation"]["web"])
        time.sleep(max(0.0, began + GIVEN_UP_S - time.monotonic()))  # what was under way there is answered by 504
        failed, seen = len(load.failures), sum(load.done.values())
        deployed_in_spite(ada, target)
    print(f"{node.name} lost: replicas elsewhere after {took:.1f} s, {failed} of {seen} failed in that time")
    # Who waits for an answer from a machine that is gone waits until the connection's keep-alive gives it up.
    waited = ("slow: TimeoutError", "keep-alive: TimeoutError")
    assert [each for each in refused(load, since=failed) if not each[9:].startswith(waited)] == []
    assert failed < seen / 50


def test_when_a_manager_that_is_an_ingress_is_lost_the_other_ingress_serves_and_deploys_go_on(
    grown: Cluster, ada: Client, target: str
) -> None:
    node = grown.fabric.nodes["m2"]
    app = ada.app(target)
    with cable_cut(grown, node):
        began = time.monotonic()
        deployed_in_spite(ada, target)
        took = time.monotonic() - began
        elsewhere(grown, ada, target, node, app["formation"]["web"])
        with running(load_on(grown, target)) as load:
            time.sleep(5)
    print(f"{node.name} lost: a deploy right afterwards took {took:.1f} s")
    assert load.failures == []
    host = {"Host": f"{target}.apps.localhost"}
    eventually(lambda: grown.http.get(f"http://{node.address}/", headers=host).status_code == 200, within=60)
