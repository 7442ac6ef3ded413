"""Operators' commands that need the database, which only the platform's own containers reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.manage.cluster.stack import PART
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

PROGRAM = ("python3", "-c", "from skypanel.manage.main import main; main()")


def is_cluster(settings: Settings) -> bool:
    return (settings.data_dir / "cluster").is_dir() and settings.runtime != "swarm"


def run_inside(settings: Settings, words: Sequence[str], *, env: Mapping[str, str]) -> str:
    """`skypanel WORDS…` in a copy of the server on this machine; its output. Raises CannotStart with what it said."""
    with EngineClient(settings.docker_socket) as engine:
        try:
            found = engine.get("/containers/json", filters={"label": [f"{PART}=server"]})
            if not found:
                raise CannotStart("No copy of the server runs on this machine: type this on a manager.")
            code, output = engine.execute(found[0]["Id"], [*PROGRAM, *words], env=env)
        except EngineFailed as error:
            raise CannotStart(f"Docker: {error}") from error
    if code != 0:
        raise CannotStart(output.strip() or f"it exited with {code}")
    return output
