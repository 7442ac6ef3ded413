"""What the verbs of this room work with: drivers, the clock, and the rules of this installation. Made by `wiring`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Protocol

from skypanel.db import Database
from skypanel.drivers.builder.port import Builder, BuildLimits
from skypanel.drivers.logstore.port import LogStore
from skypanel.drivers.probe import Answer, Probe
from skypanel.drivers.router.port import Router
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.source.port import Source
from skypanel.kit.clock import Clock


class Encrypts(Protocol):
    def encrypt(self, plain: bytes) -> bytes: ...

    def decrypt(self, token: bytes) -> bytes: ...


class DeploymentLog(Protocol):
    """The log of one deployment: a callable sink of lines."""

    def __call__(self, line: str) -> None: ...

    def close(self) -> None: ...


class OpensLogs(Protocol):
    def __call__(self, *, app_id: str, deployment_id: str, secrets: Sequence[str]) -> DeploymentLog: ...


@dataclass(frozen=True)
class Rules:
    health_deadline_s: float = 60
    drain_timeout_s: float = 30
    idle_connection_s: float = 1.2  # the router closes idle connections to replicas after this long
    stop_grace_s: float = 10
    release_command_timeout_s: float = 600
    run_timeout_s: float = 3600
    output_bytes: int = 10_000_000
    keep_releases: int = 10
    build_limits: BuildLimits = field(default_factory=BuildLimits)
    build_cache: bool = True


@dataclass(frozen=True)
class Platform:
    database: Database
    clock: Clock
    runtime: Runtime
    router: Router
    builder: Builder
    source: Source
    logs: LogStore
    vault: Encrypts
    open_log: OpensLogs
    app_host: Callable[[str], str]  # subdomain -> host name
    probe: Probe  # asks replicas directly
    ask_through_router: Callable[[str, str, float], Answer]  # host, path, timeout in seconds
    rules: Rules
    build_slots: BoundedSemaphore
    network_of: Callable[[str], str] = lambda _: ""  # organization's id -> what its replicas are in, in a cluster
