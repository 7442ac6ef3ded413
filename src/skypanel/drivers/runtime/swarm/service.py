"""A service as a value: spec -> the engine's `ServiceSpec`. Pure.

https://docs.docker.com/reference/api/engine/version/v1.41/#operation/ServiceCreate
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skypanel.drivers.runtime.environment import environment
from skypanel.drivers.runtime.port import APP_DIR, DEFAULT_PORT, Bind, ContainerKind, ContainerSpec, HealthCheck
from skypanel.drivers.runtime.swarm import names, scripts

Json = dict[str, Any]
SECOND, MEBI = 1_000_000_000, 1 << 20
TMP = "/tmp"  # noqa: S108 - the container's own
RESTART_DELAY_S, RESTARTS, RESTART_WINDOW_S = 1, 3, 300
LOG_OPTIONS = {"max-size": "16m", "max-file": "2"}


@dataclass(frozen=True)
class Reserved:
    """Parts of a replica's limits that a machine has to have free before one is placed there."""

    cpu_percent: int = 5
    memory_percent: int = 25


@dataclass(frozen=True)
class Surroundings:
    instance: str
    image: str  # where the spec names none
    network: str  # id
    reserved: Reserved
    node: str | None = None  # id of the machine it has to be on
    no_new_privileges: bool = False  # engines from API 1.44 on


def variables(spec: ContainerSpec) -> bytes:
    """The content of its secret. DYNO of a replica is not in it: the engine knows which one it is."""
    env = environment(spec) | {"SKYPANEL_DRAIN_S": str(spec.drain_s if spec.port else 0)}
    if spec.kind == ContainerKind.REPLICA:
        env.pop("DYNO", None)
    return b"".join(f"{name}={value}".encode() + b"\0" for name, value in env.items())


def content_of(spec: ContainerSpec, around: Surroundings) -> str:
    """What makes two services the same: everything but how many replicas there are and what they are called."""
    text = json.dumps(task(spec, around, secret=("", "")), sort_keys=True).encode() + variables(spec)
    return hashlib.sha256(text).hexdigest()[:32]


def service(
    spec: ContainerSpec, around: Surroundings, *, secret: tuple[str, str], labels: Mapping[str, str], replicas: int
) -> Json:
    """`secret`: id and name."""
    return {
        "Name": names.service_name(around.instance, spec),
        "Labels": {
            names.INSTANCE: around.instance, names.APP: spec.app_id, names.ORGANIZATION: spec.organization_id,
            names.KIND: spec.kind.value, names.PROCESS: spec.name, names.CONTENT: content_of(spec, around),
            names.SERVES: "yes" if spec.port else "no", **labels,
        },
        "TaskTemplate": task(spec, around, secret=secret),
        "Mode": {"Replicated": {"Replicas": replicas}},
        # Addresses of the tasks themselves: no virtual one, no routing mesh (both want IPVS, and hide who serves).
        "EndpointSpec": {"Mode": "dnsrr"},
    }  # fmt: skip


def task(spec: ContainerSpec, around: Surroundings, *, secret: tuple[str, str]) -> Json:
    return {
        "ContainerSpec": container(spec, around, secret=secret),
        "Resources": resources(spec, around.reserved),
        "RestartPolicy": restart_policy(spec),
        "Placement": {"Constraints": [f"node.id=={around.node}"] if around.node else []},
        "Networks": [{"Target": around.network}],
        "LogDriver": {"Name": "json-file", "Options": LOG_OPTIONS},
    }


def container(spec: ContainerSpec, around: Surroundings, *, secret: tuple[str, str]) -> Json:
    owner = str(spec.uid)
    found: Json = {
        "Image": spec.image or around.image,
        "Command": ["bash", "-c", scripts.INIT, "skypanel"],
        "Args": list(spec.command),
        "Env": _plain_variables(spec),
        "User": f"{owner}:{owner}",
        "Dir": spec.workdir,
        "Hostname": "",
        "StopGracePeriod": (spec.grace_s + (spec.drain_s if spec.port else 0)) * SECOND,
        "CapabilityDrop": ["ALL"],
        "Labels": {names.INSTANCE: around.instance, names.APP: spec.app_id, names.ORGANIZATION: spec.organization_id,
                   names.DISK: str(spec.limits.disk_mb)},
        "Mounts": mounts(spec),
        "Ulimits": [{"Name": "nofile", "Soft": spec.limits.open_files, "Hard": spec.limits.open_files},
                    {"Name": "core", "Soft": 0, "Hard": 0}],
        "Healthcheck": health_check(spec.health),
        "Secrets": [{"SecretID": secret[0], "SecretName": secret[1],
                     "File": {"Name": "env", "UID": owner, "GID": owner, "Mode": 0o400}}],
    }  # fmt: skip
    if around.no_new_privileges:
        found["Privileges"] = {"NoNewPrivileges": True}
    return found


def _plain_variables(spec: ContainerSpec) -> list[str]:
    if spec.kind != ContainerKind.REPLICA:
        return []
    return [f"DYNO={spec.name.rpartition('.')[0] or spec.name}.{{{{.Task.Slot}}}}"]


def mounts(spec: ContainerSpec) -> list[Json]:
    targets = {bind.target for bind in spec.binds}
    found: list[Json] = []
    if TMP not in targets:
        size = spec.limits.memory_mb * MEBI
        found.append({"Type": "tmpfs", "Target": TMP, "TmpfsOptions": {"SizeBytes": size, "Mode": 0o1777}})
    if spec.image is None and APP_DIR not in targets:
        size = spec.limits.disk_mb * MEBI
        found.append({"Type": "tmpfs", "Target": APP_DIR, "TmpfsOptions": {"SizeBytes": size, "Mode": 0o1777}})
    binds = [*spec.binds, *(Bind(prefix, str(prefix)) for prefix in spec.toolchains if spec.image is None)]
    for bind in sorted(binds, key=lambda bind: bind.target.count("/")):
        found.append({"Type": "bind", "Source": str(bind.source), "Target": bind.target, "ReadOnly": not bind.writable})
    return found


def resources(spec: ContainerSpec, reserved: Reserved) -> Json:
    limits = spec.limits
    cpu, memory = limits.cpu_millis * 1_000_000, limits.memory_mb * MEBI
    return {
        "Limits": {"NanoCPUs": cpu, "MemoryBytes": memory, "Pids": limits.pids},
        "Reservations": {
            "NanoCPUs": cpu * reserved.cpu_percent // 100, "MemoryBytes": memory * reserved.memory_percent // 100,
        },
    }  # fmt: skip


def restart_policy(spec: ContainerSpec) -> Json:
    """The swarm starts a dead replica again by itself, also while the platform is away; when it keeps dying the
    platform takes over, with longer and longer pauses."""
    if spec.kind != ContainerKind.REPLICA:
        return {"Condition": "none"}
    return {
        "Condition": "any", "Delay": RESTART_DELAY_S * SECOND, "MaxAttempts": RESTARTS,
        "Window": RESTART_WINDOW_S * SECOND,
    }  # fmt: skip


def health_check(health: HealthCheck | None) -> Json:
    if health is None:
        return {"Test": ["NONE"]}
    arguments: Sequence[str] = [str(DEFAULT_PORT), health.path or "", health.host, str(health.timeout_s)]
    return {
        "Test": ["CMD", "bash", "-c", scripts.PROBE, "probe", *arguments],
        "Interval": health.interval_s * SECOND,
        "Timeout": (health.timeout_s + 1) * SECOND,
        "Retries": health.retries,
        "StartPeriod": health.start_s * SECOND,
    }
