"""What the platform itself is in a cluster, as services of the swarm. Pure; `init` makes them so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.drivers.runtime.swarm.scripts import PROBE

Json = dict[str, Any]
SECOND = 1_000_000_000
PART, CONTENT = "skypanel.part", "skypanel.content"
DATA_LABEL, DATABASE_LABEL = "skypanel.data", "skypanel.database"
SERVER_PORT = 8000
REGISTRY_PORT = 5000
POSTGRES_DATA = "/var/lib/postgresql/data"
# Without `cache`: it would go on naming blobs that another manager's registry has deleted, or the sweep.
REGISTRY_CONFIG = """\
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
http:
  addr: 0.0.0.0:5000
  tls: {certificate: /run/secrets/registry.crt, key: /run/secrets/registry.key}
auth:
  htpasswd: {realm: skypanel, path: /run/secrets/registry.htpasswd}
"""


@dataclass(frozen=True)
class File:
    """A secret in a service, by its content."""

    name: str  # below /run/secrets
    content: bytes
    owner: int = 0

    def called(self, part: str) -> str:
        return f"skypanel-{part}-{self.name.replace('.', '-')}-{hashlib.sha256(self.content).hexdigest()[:12]}"


@dataclass(frozen=True)
class Part:
    """A service of the platform."""

    name: str
    image: str
    arguments: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[tuple[str, str, bool]] = ()  # source (a path, or a volume's name), target, writable
    files: Sequence[File] = ()
    user: str = ""
    copies: int | None = 1  # None: one on every machine that fits
    where: Sequence[str] = ()  # constraints
    port: int | None = None  # of every machine it is on
    health: Sequence[str] = ()
    start_first: bool = False
    grace_s: int = 15
    networks: Sequence[str] = (PLATFORM_NETWORK,)
    aliases: Sequence[str] = ()  # further names in them
    once: bool = False
    capabilities: Sequence[str] = ()  # besides the engine's usual ones

    @property
    def service(self) -> str:
        return f"skypanel-{self.name}"


def spec(part: Part, *, secrets: Mapping[str, str]) -> Json:
    """`secrets`: name -> id, of its files."""
    container: Json = {
        "Image": part.image,
        "Args": list(part.arguments),
        "Env": [f"{name}={value}" for name, value in sorted(part.env.items())],
        "User": part.user,
        "StopGracePeriod": part.grace_s * SECOND,
        "Init": True,
        "Labels": {PART: part.name},
        "Mounts": [_mount(*mount) for mount in part.mounts],
        "Secrets": [_secret(part.name, file, secrets) for file in part.files],
    }
    if part.capabilities:
        container["CapabilityAdd"] = list(part.capabilities)
    if part.command:
        container["Command"] = list(part.command)
    if part.health:
        container["Healthcheck"] = {
            "Test": list(part.health), "Interval": 2 * SECOND, "Timeout": 5 * SECOND, "Retries": 3,
            "StartPeriod": 60 * SECOND,
        }  # fmt: skip
    order = "start-first" if part.start_first else "stop-first"
    found: Json = {
        "Name": part.service,
        "Labels": {PART: part.name},
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": {"Condition": "none"} if part.once else {"Condition": "any", "Delay": SECOND},
            "Placement": {"Constraints": list(part.where)},
            "Networks": [{"Target": network, "Aliases": list(part.aliases)} for network in part.networks],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
        },
        "Mode": {"Global": {}} if part.copies is None else {"Replicated": {"Replicas": part.copies}},
        "UpdateConfig": {"Parallelism": 1, "Order": order, "FailureAction": "rollback" if part.start_first else "pause",
                         "Monitor": 5 * SECOND},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": _ports(part)},
    }  # fmt: skip
    found["Labels"][CONTENT] = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]
    return found


def _mount(source: str, target: str, writable: bool) -> Json:
    kind = "bind" if source.startswith("/") else "volume"
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": not writable}


def _secret(part: str, file: File, secrets: Mapping[str, str]) -> Json:
    name = file.called(part)
    return {
        "SecretID": secrets.get(name, ""), "SecretName": name,
        "File": {"Name": file.name, "UID": str(file.owner), "GID": str(file.owner), "Mode": 0o400},
    }  # fmt: skip


def _ports(part: Part) -> list[Json]:
    if part.port is None:
        return []
    return [{"Protocol": "tcp", "PublishMode": "host", "TargetPort": part.port, "PublishedPort": part.port}]


@dataclass(frozen=True)
class Choices:
    """What the operator chose, and what `init` found."""

    data_dir: Path
    docker_socket: Path
    platform_image: str
    postgres_image: str | None  # None: an external database
    registry_image: str | None  # None: an external registry
    settings: Mapping[str, str]  # SKYPANEL_… for server and worker
    copies: int
    server_uid: int
    worker_files: Sequence[File] = ()  # what opens private repositories, and the mail server; only workers get them
    payment_files: Sequence[File] = ()  # the payment provider's keys; servers and workers get them


def registry_part(choices: Choices, files: Sequence[File], *, name: str) -> Part:
    assert choices.registry_image is not None
    config = File("registry.yml", REGISTRY_CONFIG.encode())
    return Part(
        "registry", choices.registry_image, arguments=["serve", "/run/secrets/registry.yml"], files=(config, *files),
        mounts=[(str(choices.data_dir / "registry"), "/var/lib/registry", True)], copies=None,
        where=[f"node.labels.{DATA_LABEL}==yes"], port=REGISTRY_PORT, aliases=[name],
    )  # fmt: skip


def postgres_part(choices: Choices, password: bytes) -> Part:
    assert choices.postgres_image is not None
    return Part(
        "postgres", choices.postgres_image,
        env={"POSTGRES_USER": "skypanel", "POSTGRES_DB": "skypanel", "PGDATA": f"{POSTGRES_DATA}/pgdata",
             "POSTGRES_PASSWORD_FILE": "/run/secrets/postgres"},
        mounts=[("skypanel-postgres", POSTGRES_DATA, True)], files=[File("postgres", password)],
        where=[f"node.labels.{DATABASE_LABEL}==yes"], grace_s=60,
        health=["CMD", "pg_isready", "-q", "-U", "skypanel", "-d", "skypanel", "-h", "127.0.0.1"],
    )  # fmt: skip


def _environment(choices: Choices) -> dict[str, str]:
    return {
        "SKYPANEL_DATA_DIR": str(choices.data_dir), "SKYPANEL_RUNTIME": "swarm",
        "SKYPANEL_NODE_NAME": "{{.Node.Hostname}}", **choices.settings,
    }  # fmt: skip


def _opened(files: Sequence[File]) -> dict[str, str]:
    return {f"SKYPANEL_{file.name.upper()}": f"/run/secrets/{file.name}" for file in files}


def migrate_part(choices: Choices) -> Part:
    return Part(
        "migrate", choices.platform_image, arguments=["python3", "-m", "skypanel.manage.cluster.migrate"],
        env=_environment(choices), mounts=[(str(choices.data_dir), str(choices.data_dir), True)],
        where=[f"node.labels.{DATA_LABEL}==yes"], once=True,
    )  # fmt: skip


def move_part(choices: Choices, file: Path) -> Part:
    moved = replace(migrate_part(choices), name="move")
    return replace(moved, arguments=["python3", "-m", "skypanel.manage.cluster.move_database", str(file)])


def agent_part(choices: Choices, authority: bytes) -> Part:
    socket = str(choices.docker_socket)
    shown = [("/etc/hosts", "/host/hosts", True), ("/etc/docker/certs.d", "/host/certs.d", True),
             ("/etc/resolv.conf", "/host/resolv.conf", False), (socket, socket, True)]  # fmt: skip
    return Part(
        "agent", choices.platform_image, arguments=["python3", "-m", "skypanel.manage.cluster.agent"],
        env=_environment(choices), mounts=shown, files=[File("registry-ca.crt", authority)], copies=None,
        networks=["host"], capabilities=["CAP_NET_ADMIN"],
    )  # fmt: skip


def server_part(choices: Choices) -> Part:
    directory = choices.data_dir
    shown = [(str(directory / name), str(directory / name), False) for name in ("logs", "keys", "git", "instance.json")]
    command = [
        "python3", "-m", "uvicorn", "skypanel.server:create_app", "--factory", "--host", "0.0.0.0",  # noqa: S104
        "--port", str(SERVER_PORT), "--no-proxy-headers", "--no-server-header", "--no-access-log", "--log-level",
        "warning", "--timeout-graceful-shutdown", "5",
    ]  # fmt: skip
    return Part(
        "server", choices.platform_image, arguments=command,
        env=_environment(choices) | _opened(choices.payment_files),
        files=tuple(replace(file, owner=choices.server_uid) for file in choices.payment_files),
        mounts=[*shown, (str(directory / "run"), str(directory / "run"), True)],
        user=f"{choices.server_uid}:{choices.server_uid}", copies=choices.copies,
        where=[f"node.labels.{DATA_LABEL}==yes"], start_first=True,
        health=["CMD", "bash", "-c", PROBE, "probe", str(SERVER_PORT), "/healthz", "localhost", "4"],
    )  # fmt: skip


def worker_part(choices: Choices) -> Part:
    directory, socket = str(choices.data_dir), str(choices.docker_socket)
    files = (*choices.worker_files, *choices.payment_files)
    return Part(
        "worker", choices.platform_image, arguments=["python3", "-m", "skypanel.manage.worker"],
        env=_environment(choices) | _opened(files), files=files,
        mounts=[(directory, directory, True), (socket, socket, True)],
        copies=choices.copies, where=[f"node.labels.{DATA_LABEL}==yes", "node.role==manager"], grace_s=30,
    )  # fmt: skip
