"""One suite over every runtime."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import FAKES, House, free_network
from engines import swarm_node
from swarm_house import swarm_house

from skypanel.drivers.runtime.memory import Machine, MemoryRuntime
from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.runtime.process import ProcessRuntime

__all__ = ["swarm_node"]

KINDS = [
    "memory",
    "process",
    pytest.param("oci", marks=pytest.mark.root),
    pytest.param("swarm", marks=pytest.mark.root),
]


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
