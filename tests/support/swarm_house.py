"""The swarm driver under test, with the test's own thread where the router is: in the organization's network."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from containers import House
from engines import STACK, Node, inside

from skypanel.drivers.engine.client import EngineClient
from skypanel.drivers.runtime.swarm import SwarmApi, SwarmRuntime


@contextmanager
def beside_the_containers(engine: EngineClient, network: str) -> Iterator[None]:
    """This thread inside the organization's network, as the router is in the cluster."""
    body = {"Image": STACK, "Cmd": ["sleep", "infinity"], "HostConfig": {"NetworkMode": network}}
    pause = engine.post("/containers/create", body)["Id"]
    engine.post(f"/containers/{pause}/start")
    try:
        with inside(engine.get(f"/containers/{pause}/json")["State"]["Pid"]):
            yield
    finally:
        engine.delete(f"/containers/{pause}", force="1")


@contextmanager
def swarm_house(node: Node, tmp_path: Path, layer: Path) -> Iterator[House]:
    engine = node.engine
    instance = uuid.uuid4().hex[:8]
    api = SwarmApi(engine, instance)
    network = api.network("org-1")

    def make() -> SwarmRuntime:
        return SwarmRuntime(api=SwarmApi(node.engine, instance), spool=tmp_path / "spool", image=STACK, node=node.name)

    try:
        with beside_the_containers(engine, network):
            yield House("swarm", make, layer)
    finally:
        engine.delete(f"/networks/{network}")
        engine.close()
