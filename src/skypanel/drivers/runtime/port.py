"""Containers as values, and the verbs that a runtime has for them.

A container here is a replica, a release command, a one-off run or a build: the same thing with another spec.
Every verb is idempotent by the container's id, so that a worker that died can be followed by one that repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from skypanel.kit.secret import Secret

APP_DIR = "/app"
DEFAULT_PORT = 5000


class RuntimeFailed(Exception):
    """The runtime could not do it; the message says what and, where known, what to do about it."""


class ContainerKind(StrEnum):
    REPLICA = "replica"
    RELEASE = "release"
    RUN = "run"
    BUILD = "build"


@dataclass(frozen=True)
class Limits:
    cpu_millis: int  # 1000 = one core
    memory_mb: int
    disk_mb: int  # of the writable layer
    pids: int = 512
    open_files: int = 16_384


@dataclass(frozen=True)
class Bind:
    """A host directory or file seen inside. Read-only unless said otherwise; tenants' links are not followed."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class HealthCheck:
    """What a runtime that looks after replicas by itself asks them, from inside. `path` None: only whether something
    listens on PORT."""

    path: str | None
    host: str
    interval_s: int
    timeout_s: int
    retries: int
    start_s: int  # failures in this time after its start do not count


@dataclass(frozen=True)
class Group:
    """Replicas of one process type of one release: runtimes with a notion of services make one of it."""

    name: str  # [a-z0-9-]{1,40}, unique among the organization's groups
    position: int  # of this replica in it, from 1
    size: int  # how many of it are wanted now


@dataclass(frozen=True)
class ContainerSpec:
    id: str  # [a-z0-9-]{1,64}, unique on the platform; also names the cgroup, the network namespace and directories
    kind: ContainerKind
    app_id: str
    organization_id: str
    name: str  # "web.1", "release", "run.1", "build": what logs call it
    command: Sequence[str]  # argv; the runtime puts an init in front that reaps and passes signals on
    env: Mapping[str, str | Secret]
    uid: int
    limits: Limits
    layers: Sequence[
        Path
    ] = ()  # read-only directories merged on /app, topmost first, below a throw-away writable layer
    binds: Sequence[Bind] = ()
    toolchains: Sequence[Path] = ()  # interpreter prefixes outside /usr, bound read-only at the same path
    workdir: str = APP_DIR
    port: bool = False  # it serves: the runtime picks address and port and sets PORT
    image: str | None = None  # with its digest; None: the stack's, or the machine's own
    group: Group | None = None
    health: HealthCheck | None = None
    drain_s: int = 0  # a runtime that stops replicas by itself lets open requests end for so long before SIGTERM
    grace_s: int = 10  # and then waits so long before SIGKILL


class ContainerStatus(StrEnum):
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True)
class Container:
    """A container as the runtime sees it now."""

    id: str
    kind: ContainerKind
    app_id: str
    organization_id: str
    name: str
    status: ContainerStatus
    address: str | None  # reachable from the router
    port: int | None
    log: Path  # stdout and stderr; stays after `remove` until the collector has read it and deletes it
    log_format: str  # "k8s" (conmon's lines: time, stream, P|F, text) or "plain"
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    oom_killed: bool = False
    node: str = field(default="", compare=False)  # where it is, "" when the runtime has one machine only
    reason: str | None = field(default=None, compare=False)  # why it does not start or has ended, where known
    displaced: bool = field(default=False, compare=False)  # its machine was lost: it may be started again, elsewhere


@dataclass(frozen=True)
class Exit:
    """How a container that was run to its end ended."""

    code: int
    oom_killed: bool = False
    timed_out: bool = False
    cancelled: bool = False
    output_exceeded: bool = False
    disk_exceeded: bool = False
    processes_exceeded: bool = False  # at least one process was refused; by itself this ends nothing


@dataclass(frozen=True)
class RunLimits:
    time_s: float
    output_bytes: int
    grace_s: float = 2.0


class RunsOneOff(Protocol):
    def run(
        self,
        spec: ContainerSpec,
        *,
        limits: RunLimits,
        on_output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        disk_watch: Sequence[Path] = (),
    ) -> Exit:
        """Runs it to its end, handing on whole lines of output (with their newline) as they come, and leaves nothing
        behind. `disk_watch`: writable host directories whose size counts against `spec.limits.disk_mb`.
        Raises RuntimeFailed when it cannot be started."""
        ...


class Runtime(RunsOneOff, Protocol):
    @property
    def name(self) -> str: ...

    @property
    def trusted(self) -> bool:
        """True when containers are not isolated from each other: one organization only."""
        ...

    @property
    def heals(self) -> bool:
        """True when it starts dead and failing replicas again by itself: a new container takes their place, which the
        next replica that is started at that place becomes."""
        ...

    @property
    def node(self) -> str: ...

    def prepare(self) -> None:
        """Network, directories, firewall: created where missing, mended where changed by hand. Idempotent."""
        ...

    def start(self, spec: ContainerSpec) -> Container:
        """Removes leftovers of that id, then creates and starts it. Returns at once, healthy or not."""
        ...

    def retire(self, container_ids: Collection[str]) -> None:
        """These will be stopped. Where a cluster chooses by itself which containers of a group end, it chooses now, and
        returns when it has: `get` of those that stay has the address that is theirs from then on."""
        ...

    def stop(self, container_id: str, *, grace_s: float) -> None:
        """SIGTERM, up to `grace_s`, SIGKILL. Returns when it is dead. Unknown ids are no error."""
        ...

    def remove(self, container_id: str) -> None:
        """Kills and removes everything of that id except its log file. Unknown ids are no error."""
        ...

    def get(self, container_id: str) -> Container | None: ...

    def list(self) -> Sequence[Container]:
        """Every container of this platform, found by what is on the machine, not by memory."""
        ...

    def wait_for_exits(self, timeout_s: float) -> Sequence[str]:
        """Blocks until containers have exited (an event, no polling) and returns their ids; empty after the timeout."""
        ...

    def open_connections(self, container_id: str) -> int:
        """Established TCP connections into it from the router's side; 0 where the container itself lets them end
        (`drain_s`) before its program gets SIGTERM."""
        ...

    def listening(self, container_id: str) -> Sequence[str]:
        """`address:port` of every TCP socket that listens inside: what a failure report compares with PORT."""
        ...

    def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        """The last lines it printed, for failure reports; also after `remove` while the log file exists."""
        ...


@dataclass(frozen=True)
class Usage:
    cpu_seconds: float  # since its start
    memory_bytes: int  # now, without page cache that can be dropped


class ReportsUsage(Protocol):
    def usage(self, container_id: str) -> Usage | None:
        """None when there is no such container."""
        ...


@dataclass(frozen=True)
class Problem:
    """Something `doctor` found: one line, and the remedy."""

    check: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Health:
    problems: Sequence[Problem] = field(default_factory=tuple)


class Diagnoses(Protocol):
    def diagnose(self) -> Sequence[Problem]: ...
