"""What a cluster under test does and has, as its operator sees it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from engines import Node
from load import Load
from site_under_test import SETTLED, Client, eventually

from cluster import Cluster
from skypanel.drivers.engine.client import EngineFailed

BACK_S = 120  # for everything to be as it was


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


def settled(grown: Cluster, ada: Client, target: str, wanted: int) -> bool:
    """Nothing drains any more, and everything that is wanted is healthy."""
    states = [replica["state"] for replica in ada.replicas(target)]
    return states == ["healthy"] * wanted and len(app_tasks(grown, ada.app(target)["id"])) == wanted


def load_on(grown: Cluster, target: str) -> Load:
    return Load(f"{target}.apps.localhost", 80, grown.first.address, slow_s=2.0)


def refused(load: Load, *, since: int = 0) -> list[str]:
    """Failures but those of connections that stay: streams end with the replica or router that they lead through, and
    one that is idle may be closed in the moment that its next request is written."""
    stay = ("websocket", "events", "keep-alive: IncompleteReadError('0 bytes")
    return [each for each in load.failures[since:] if not any(word in each for word in stay)]


def expect_addresses_elsewhere(grown: Cluster, slug_network: str) -> None:
    """Each machine in a network looks for each of its addresses on another machine, as for five minutes after it moved
    there. What is there at present stays as it is."""
    with grown.first.speaking() as engine:
        network = next(each for each in engine.get("/networks") if each["Name"].endswith(slug_network))
    first, second, third, _ = map(int, network["IPAM"]["Config"][0]["Subnet"].partition("/")[0].split("."))
    macs = (f"02:42:{first:02x}:{second:02x}:{third:02x}:{last:02x}" for last in range(2, 255))
    batch, looking = "".join(f"fdb add {mac} dev vxlan0 master dynamic\n" for mac in macs), set[str]()
    for name, node in grown.fabric.nodes.items():
        namespace = node.directory / "run" / "netns" / f"1-{network['Id'][:10]}"
        inside = ["nsenter", "-t", (node.directory / "pid").read_text().strip(), "-m"]
        bridge = [*inside, "--", "nsenter", f"--net={namespace}", "bridge"]
        # A machine without the network, or one that leaves it right now, has no such namespace.
        subprocess.run([*bridge, "-force", "-batch", "-"], input=batch, check=False, capture_output=True, text=True)
        known = subprocess.run([*bridge, "fdb", "show"], check=False, capture_output=True, text=True).stdout
        if sum(1 for line in known.splitlines() if "dev vxlan0 master" in line) > 200:
            looking.add(name)
    assert looking >= {"m1", "m2"}, f"the ingress machines reach replicas; only {looking} look for them elsewhere"


T = TypeVar("T")


def in_spite(look: Callable[[], T]) -> T | None:
    """What it finds, or None while a part of the cluster that is asked has just been lost."""
    try:
        return look()
    except (AssertionError, httpx.HTTPError, EngineFailed):
        return None


def deployed_in_spite(ada: Client, slug: str) -> None:
    """As the command line does: whose answer got lost asks again with the same key."""
    key = {"Idempotency-Key": str(uuid.uuid4())}

    def ended(version: int) -> str | None:
        status = str(ada.deployment(slug, version)["status"])
        return status if status in SETTLED else None

    def asked() -> int:
        return int(ada.call("POST", f"/paas/apps/{slug}/deploy", headers=key)["deployment"]["version"])

    version = eventually(lambda: in_spite(asked), within=60, every=0.2, what="an answer")
    status = eventually(lambda: in_spite(lambda: ended(version)), within=BACK_S, every=0.2, what="its end")
    assert status == "running", ada.deployment(slug, version)
