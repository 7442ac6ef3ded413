"""The ingress of this machine: a container that owns network and ports, and `skypanel edge` in it, replaced at will.

The first one (`skypanel-ingress`) does nothing but live: its network namespace has the public ports and is joined to
the organizations' networks, so that the second one can be replaced, and Traefik with it, without a port ever closing.
Plain containers, not tasks: only those can join networks while they run, and they go on when the swarm does not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.manage.cluster.stack import PART, Json
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

OWNER, EDGE = "skypanel-ingress", "skypanel-edge"
IMAGE = "skypanel.image"
READY_S = 120.0
# Connections that wait at a listener go to the next one when it closes. What was sent to a machine that is lost is
# given up after some 25 s instead of 15 min, and whoever waits for it is told so.
SYSCTLS = {
    "net.ipv4.tcp_migrate_req": "1", "net.ipv4.tcp_retries2": "6", "net.ipv4.tcp_keepalive_probes": "2",
}  # fmt: skip


@dataclass(frozen=True)
class Ingress:
    """`directory`: of this machine alone, where routes and keys are kept."""

    image: str
    directory: Path
    docker_socket: Path
    http_port: int
    https_port: int
    env: dict[str, str]


def told(settings: Settings) -> dict[str, str]:
    """What every ingress of the cluster is told alike."""
    return {
        "SKYPANEL_DASHBOARD_HOST": settings.dashboard_host, "SKYPANEL_CONTROL_PLANE": settings.control_plane,
        "SKYPANEL_LOG_LEVEL": settings.log_level, "SKYPANEL_SWARM_ADDRESS_POOL": settings.swarm_address_pool,
    }  # fmt: skip


def ingress(settings: Settings, *, image: str, directory: Path, told: dict[str, str], name: str) -> Ingress:
    """Of the machine `name`, whose ports and engine `settings` tell of."""
    env = {
        **told, "SKYPANEL_NODE_NAME": name, "SKYPANEL_DOCKER_SOCKET": str(settings.docker_socket),
        "SKYPANEL_HTTP_PORT": str(settings.http_port), "SKYPANEL_HTTPS_PORT": str(settings.https_port),
    }  # fmt: skip
    return Ingress(image, directory, settings.docker_socket, settings.http_port, settings.https_port, env)


def keep_key(directory: Path, token: str) -> None:
    """With which the edge of this machine asks the control plane."""
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    key = directory / "edge.key"
    if not key.exists() or key.read_text().strip() != token:
        key.touch(mode=0o600)
        key.write_text(token + "\n")


def ensure_edge(engine: EngineClient, wanted: Ingress) -> bool:
    """True when something had to change. Its key is there. Raises CannotStart."""
    owner = _ensure_owner(engine, wanted)
    current = _find(engine, label=f"{PART}=edge")
    mine = [each for each in current if each["Labels"].get(IMAGE) == _mark(wanted) and each["State"] == "running"]
    if mine and not owner:
        return False
    _replace(engine, wanted, [each["Id"] for each in current])
    return True


def revive(engine: EngineClient) -> bool:
    """Starts again what the engine has not: after its own start it tries each container once, and the edge in vain when
    its turn comes before the owner's, in whose network it lives. True when something was started."""
    started = False
    for part in ("ingress", "edge"):
        for each in _find(engine, label=f"{PART}={part}"):
            if each["State"] == "exited" and _is_to_run(engine, each["Id"]):
                engine.post(f"/containers/{each['Id']}/start", timeout_s=60)
                started = True
    return started


def _is_to_run(engine: EngineClient, container: str) -> bool:
    return bool(engine.get(f"/containers/{container}/json")["HostConfig"]["RestartPolicy"]["Name"] == "always")


def remove_edge(engine: EngineClient) -> None:
    for part in ("edge", "ingress"):
        for each in _find(engine, label=f"{PART}={part}"):
            engine.delete(f"/containers/{each['Id']}", force="1")


def _mark(wanted: Ingress) -> str:
    return f"{wanted.image} {wanted.http_port} {wanted.https_port} {sorted(wanted.env.items())}"


def _find(engine: EngineClient, *, label: str) -> list[Json]:
    return list(engine.get("/containers/json", filters={"label": [label]}, all="1"))


def _ensure_owner(engine: EngineClient, wanted: Ingress) -> bool:
    """True when it is new. It outlives updates of the platform: its image does not matter, its ports do."""
    ports = {f"{port}/tcp": [{"HostPort": str(port)}] for port in (wanted.http_port, wanted.https_port)}
    try:
        found = engine.get(f"/containers/{OWNER}/json")
    except EngineFailed as error:
        if not error.missing:
            raise
    else:
        if set(found["HostConfig"]["PortBindings"]) == set(ports):
            if not found["State"]["Running"]:
                engine.post(f"/containers/{OWNER}/start")
            return False
        engine.delete(f"/containers/{OWNER}", force="1")
    body = {
        "Image": wanted.image, "Cmd": ["sleep", "infinity"], "Labels": {PART: "ingress"},
        "ExposedPorts": {name: {} for name in ports},
        "HostConfig": {"NetworkMode": PLATFORM_NETWORK, "PortBindings": ports, "RestartPolicy": {"Name": "always"},
                       "Init": True, "Sysctls": SYSCTLS},
    }  # fmt: skip
    _create(engine, OWNER, body)
    return True


def _create(engine: EngineClient, name: str, body: Json) -> str:
    try:
        made = str(engine.post("/containers/create", body, name=name)["Id"])
        engine.post(f"/containers/{made}/start", timeout_s=60)
    except EngineFailed as error:
        raise CannotStart(f"{name} cannot be started: {error}.") from error
    return made


def _replace(engine: EngineClient, wanted: Ingress, old: list[str]) -> None:
    """The new one takes the ports over from the old one, which then ends."""
    directory, socket = str(wanted.directory), str(wanted.docker_socket)
    body = {
        "Image": wanted.image, "Cmd": ["python3", "-m", "skypanel.manage.cluster.edge", directory],
        "Labels": {PART: "edge", IMAGE: _mark(wanted)}, "Env": [f"{k}={v}" for k, v in sorted(wanted.env.items())],
        "HostConfig": {
            "NetworkMode": f"container:{OWNER}", "PidMode": f"container:{OWNER}", "RestartPolicy": {"Name": "always"},
            "CapAdd": ["NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN"],
            "SecurityOpt": ["apparmor=unconfined", "seccomp=unconfined"],
            "Binds": [f"{directory}:{directory}", f"{socket}:{socket}"],
        },
    }  # fmt: skip
    for container in old:  # one that was replaced ends by itself, and shall not come back
        engine.post(f"/containers/{container}/update", {"RestartPolicy": {"Name": "no"}})
    made = _create(engine, f"{EDGE}-{int(time.time())}", body)
    deadline = time.monotonic() + READY_S
    # Whoever answers may still be the old one: it has been replaced when it has ended, by itself.
    while any(_runs(engine, container) for container in old) or not _ready(engine, made):
        if time.monotonic() > deadline:
            for container in old:
                engine.post(f"/containers/{container}/update", {"RestartPolicy": {"Name": "always"}})
            raise CannotStart(f"The router of this machine does not get ready: docker logs {made[:12]} says why.")
        time.sleep(0.2)
    for container in old:
        engine.delete(f"/containers/{container}", force="1")


def _runs(engine: EngineClient, container: str) -> bool:
    return bool(engine.get(f"/containers/{container}/json")["State"]["Running"])


def _ready(engine: EngineClient, container: str) -> bool:
    """Asked from inside, since ports may be anybody's."""
    command = ["python3", "-m", "skypanel.manage.cluster.edge", "--ready"]
    try:
        made = engine.post(f"/containers/{container}/exec", {"Cmd": command, "AttachStdout": True})["Id"]
        engine.post(f"/exec/{made}/start", {"Detach": False}, timeout_s=300)  # until it has ended: it is attached
        return bool(engine.get(f"/exec/{made}/json")["ExitCode"] == 0)
    except EngineFailed:
        return False
