"""What is on disk about a container, and the `Container` it makes. Nothing is remembered anywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.port import (
    DEFAULT_PORT,
    Container,
    ContainerKind,
    ContainerSpec,
    ContainerStatus,
)
from skypanel.drivers.runtime.procfs import ProcessId, boot_id

KILLED = 137


@dataclass(frozen=True)
class State:
    """Written when the container exists and before its program runs; without it a start was cut off."""

    process: ProcessId  # its init
    boot: str
    address: str
    started_at: datetime


def write_labels(bundle: Path, spec: ContainerSpec, *, log: Path, exits: Path) -> None:
    _write(bundle / "spec.json", {
        "kind": spec.kind.value, "app_id": spec.app_id, "organization_id": spec.organization_id, "name": spec.name,
        "port": DEFAULT_PORT if spec.port else None, "log": str(log), "exits": str(exits),
        "disk_mb": spec.limits.disk_mb,
    })  # fmt: skip


def read_disk_limit(bundle: Path) -> int | None:
    """Bytes that the writable layer may hold."""
    labels = _read(bundle / "spec.json")
    return None if labels is None else int(labels["disk_mb"]) * 1024 * 1024


def write_lease(bundle: Path, index: int) -> None:
    _write(bundle / "lease.json", {"index": index})


def read_lease(bundle: Path) -> int | None:
    record = _read(bundle / "lease.json")
    return None if record is None else int(record["index"])


def write_state(bundle: Path, state: State) -> None:
    _write(bundle / "state.json", {
        "pid": state.process.pid, "start_ticks": state.process.start_ticks, "boot": state.boot,
        "address": state.address, "started_at": state.started_at.isoformat(),
    })  # fmt: skip


def read_state(bundle: Path) -> State | None:
    record = _read(bundle / "state.json")
    if record is None:
        return None
    return State(
        process=ProcessId(record["pid"], record["start_ticks"]), boot=record["boot"], address=record["address"],
        started_at=datetime.fromisoformat(record["started_at"]),
    )  # fmt: skip


def running(state: State | None) -> bool:
    return state is not None and state.boot == boot_id() and state.process.alive()


def read_container(places: Places, container_id: str, *, cgroups: Cgroups) -> Container | None:
    bundle = places.bundle(container_id)
    labels = _read(bundle / "spec.json")
    if labels is None:
        return None
    state = read_state(bundle)
    alive = running(state)
    # Looked at after the process: a container that ends in between has its code by now.
    code, finished = read_exit(Path(labels["exits"]) / container_id)
    exited = code is not None or not alive
    out_of_memory = exited and code != 0 and cgroups.oom_kills(f"{places.cgroup}/{container_id}") > 0
    return Container(
        id=container_id, kind=ContainerKind(labels["kind"]), app_id=labels["app_id"],
        organization_id=labels["organization_id"], name=labels["name"],
        status=ContainerStatus.EXITED if exited else ContainerStatus.RUNNING,
        address=state.address if state else None, port=labels["port"], log=Path(labels["log"]), log_format="k8s",
        started_at=state.started_at if state else None, finished_at=finished, exit_code=code, oom_killed=out_of_memory,
    )  # fmt: skip


def exit_file(bundle: Path) -> Path | None:
    """Where conmon notes the end; None when there is no such container."""
    labels = _read(bundle / "spec.json")
    return None if labels is None else Path(labels["exits"]) / bundle.name


def read_exit(file: Path) -> tuple[int | None, datetime | None]:
    """What conmon noted when it ended: code and moment."""
    try:
        text = file.read_text().strip()
        moment = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None, None
    return (int(text) if text.isdigit() else KILLED), moment


def _write(file: Path, record: Mapping[str, Any]) -> None:
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(json.dumps(record))
    draft.rename(file)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    return record
