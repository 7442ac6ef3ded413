"""One suite over every runtime."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from containers import FAKES, House, free_network
from engines import STACK, Node, fabric, import_image, inside, stack_archive, swarm_init

from skypanel.drivers.engine.client import EngineClient
from skypanel.drivers.runtime.memory import Machine, MemoryRuntime
from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.runtime.process import ProcessRuntime
from skypanel.drivers.runtime.swarm import SwarmApi, SwarmRuntime

KINDS = [
    "memory",
    "process",
    pytest.param("oci", marks=pytest.mark.root),
    pytest.param("swarm", marks=pytest.mark.root),
]


@pytest.fixture(scope="session")
def swarm_node() -> Iterator[Node]:
    """An engine that is a swarm of its own and has the image that containers run in."""
    with fabric("m1") as made:
        node = made.nodes["m1"]
        import_image(node, stack_archive(), STACK)
        swarm_init(node)
        yield node


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


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "hello.txt").write_text("from the layer")
    kind = request.param
    if kind == "swarm":
        with swarm_house(request.getfixturevalue("swarm_node"), tmp_path, layer) as house:
            yield from living_in(house)
        return
    if kind == "memory":
        machine = Machine()
        house = House(kind, lambda: MemoryRuntime(machine=machine, programs=FAKES), layer)
    elif kind == "process":
        house = House(kind, lambda: ProcessRuntime(data_dir=tmp_path / "data", node="here"), layer)
    else:
        instance = uuid.uuid4().hex[:8]
        subnet = free_network()
        house = House(
            kind, lambda: OciRuntime(data_dir=tmp_path / "data", instance=instance, subnet=subnet, node="here"), layer
        )
    yield from living_in(house)


def living_in(house: House) -> Iterator[House]:
    first = house.driver()
    first.prepare()
    yield house
    first.destroy()  # type: ignore[attr-defined]
    for runtime in house.made:
        runtime.close()


@pytest.fixture
def runtime(house: House) -> Runtime:
    return house.made[0]
