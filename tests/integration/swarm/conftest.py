"""One real engine that is a swarm of its own, and drivers on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import House
from engines import Node, swarm_node
from swarm_house import swarm_house

__all__ = ["swarm_node"]


@pytest.fixture
def house(swarm_node: Node, tmp_path: Path) -> Iterator[House]:
    layer = tmp_path / "layer"
    layer.mkdir()
    with swarm_house(swarm_node, tmp_path, layer) as house:
        house.driver().prepare()
        yield house
        house.made[0].destroy()
        for runtime in house.made:
            runtime.close()
