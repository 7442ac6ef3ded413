"""Tasks as the swarm reports them, and what became of them in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

TERMINAL = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
KILLED = 137
WROTE_TOO_MUCH = "it wrote more than its plan's disk holds"
LOST, NEVER = "its machine was lost or drained", "it was never started"
UNPLACED_S = 5.0
_FRACTION = re.compile(r"\.(\d+)")


@dataclass(frozen=True)
class Task:
    id: str
    service: str  # id
    slot: int
    node: str  # id, "" while none has it
    state: str
    wanted: str  # desired state
    error: str
    exit_code: int | None
    container: str  # the engine's id of its container, "" before there is one
    addresses: Mapping[str, str]  # by id of the network
    created_at: datetime
    changed_at: datetime

    @property
    def over(self) -> bool:
        return self.state in TERMINAL

    @property
    def live(self) -> bool:
        """It serves or will: neither over nor told to go."""
        return not self.over and self.wanted in ("running", "ready", "accepted", "complete")


def read_task(found: Mapping[str, Any]) -> Task:
    status = found["Status"]
    container = status.get("ContainerStatus") or {}
    over = status["State"] in TERMINAL
    code = container.get("ExitCode", 0) if over and container.get("ContainerID") else None
    return Task(
        id=found["ID"],
        service=found.get("ServiceID", ""),
        slot=int(found.get("Slot", 0)),
        node=found.get("NodeID", ""),
        state=status["State"],
        wanted=found["DesiredState"],
        error=status.get("Err", "") or (status.get("Message", "") if status["State"] == "rejected" else ""),
        exit_code=code,
        container=container.get("ContainerID", ""),
        addresses={
            each["Network"]["ID"]: each["Addresses"][0].partition("/")[0]
            for each in found.get("NetworksAttachments") or ()
            if each.get("Addresses")
        },
        created_at=moment(found["CreatedAt"]),
        changed_at=moment(status["Timestamp"]),
    )


def moment(text: str) -> datetime:
    """RFC 3339 with up to nine digits of a second."""
    return datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1][:6]:<06}", text.replace("Z", "+00:00")))


_REASONS: Sequence[tuple[str, str]] = (
    (r"no such image|manifest unknown|pull access denied|not found: manifest|repository does not exist",
     "its image is missing: neither the registry nor the machine has it; deploy again"),
    (r"insufficient resources", "no machine of the cluster has enough free memory or CPU for it"),
    (r"no suitable node|scheduling constraints", "no machine of the cluster fits it"),
    (r"non-overlapping ipv4 address pool|could not find an available",
     "the cluster has no free network address pool left; the operator has to enlarge it"),
    (r"no available (ipv4 )?address", "the network of its organization has no free address left"),
    (r"unhealthy container", "its health checks failed"),
    (r"executable file not found", "the run image lacks bash"),
    (r"registry|dial tcp|i/o timeout|connection refused",
     "its image could not be fetched: the registry does not answer"),
)  # fmt: skip


def why_waiting(task: Task | None) -> str | None:
    """Of one that has not begun: what the engine says, or that no machine has taken it for long."""
    if task is None:
        return None
    found = reason(task.error)
    waits = (datetime.now(UTC) - task.changed_at).total_seconds()
    if found is None and task.state == "pending" and waits > UNPLACED_S:
        return "no machine of the cluster takes it; most likely none has enough free memory or CPU"
    return found


def reason(error: str) -> str | None:
    """One sentence for what the engine says; None for a plain exit, whose code says more."""
    if not error or re.fullmatch(r"task: non-zero exit \(\d+\)", error):
        return None
    for pattern, words in _REASONS:
        if re.search(pattern, error, re.IGNORECASE):
            return words
    return error.removeprefix("starting container failed: ").removeprefix("task: ")[:300]
