"""Operators' commands that need the database, which only containers in the platform's network reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.manage.cluster.stack import PART
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

PROGRAM = ("python3", "-c", "from skypanel.manage.main import main; main()")
LONGEST_S = 300.0


def is_cluster(settings: Settings) -> bool:
    """Seen from a machine; the platform's own containers are never asked. Where an adoption has failed there is a
    directory already, but no database of a cluster: that platform still runs on one machine."""
    if settings.runtime == "swarm" or not (settings.data_dir / "cluster").is_dir():
        return False
    try:
        return (settings.data_dir / "keys" / "database.url").exists()
    except PermissionError:  # keys are root's
        return True


def run_inside(settings: Settings, words: Sequence[str], *, env: Mapping[str, str]) -> str:
    """`skypanel WORDS…` in a container of its own, on a manager; its output. Raises CannotStart with what it said."""
    with EngineClient(settings.docker_socket) as engine:
        try:
            code, output = _run(engine, settings, words, env)
        except EngineFailed as error:
            raise CannotStart(f"This works on a manager of the cluster. Docker: {error}") from error
    if code != 0:
        raise CannotStart(output.strip() or f"it exited with {code}")
    return output


def _run(engine: EngineClient, settings: Settings, words: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    server: dict[str, Any] = engine.get("/services/skypanel-server")["Spec"]["TaskTemplate"]["ContainerSpec"]
    known = [entry for entry in server["Env"] if "{{" not in entry]  # a template of the swarm's
    directory = str(settings.data_dir)
    body = {
        "Image": server["Image"], "Cmd": [*PROGRAM, *words], "Labels": {PART: "command"},
        "Env": [*known, *(f"{name}={value}" for name, value in env.items())],
        "HostConfig": {"NetworkMode": PLATFORM_NETWORK, "Binds": [f"{directory}:{directory}"], "Init": True},
    }  # fmt: skip
    made = engine.post("/containers/create", body)["Id"]
    try:
        engine.post(f"/containers/{made}/start", timeout_s=60)
        code = engine.post(f"/containers/{made}/wait", timeout_s=LONGEST_S)["StatusCode"]
        frames = engine.output(f"/containers/{made}/logs", {"stdout": "1", "stderr": "1"}, read_timeout_s=5)
        return int(code), b"".join(frame for _, frame in frames).decode(errors="replace")
    finally:
        engine.delete(f"/containers/{made}", force="1")
