"""What the router is told: routes as values. `routing` computes them purely; a driver puts them into force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RouterFailed(Exception):
    """The router did not take a configuration; the message says why."""


class Page(StrEnum):
    """What a visitor sees where no replica answers. Always 503, but for an unknown host (404)."""

    STOPPED = "stopped"
    SUSPENDED = "suspended"
    DEPLOYING = "deploying"
    CRASHED = "crashed"


@dataclass(frozen=True, order=True)
class Backend:
    address: str
    port: int


@dataclass(frozen=True)
class Route:
    """One application: its host names go to its backends, or to a page while there are none."""

    key: str  # the application's id
    name: str  # its slug, for logs and pages
    hosts: Sequence[str]
    backends: Sequence[Backend]
    page: Page | None = None
    health_path: str | None = None  # active checks by the router where the app names a path
    health_timeout_s: int = 5
    network: str = ""  # of a cluster, in which the backends are


class Router(Protocol):
    def put(self, route: Route) -> None:
        """Validates it and puts it in the place of the one before. Survives a restart of the router and of ours."""
        ...

    def remove(self, key: str) -> None: ...

    def routes(self) -> Mapping[str, str]:
        """Key -> fingerprint of every route that is in place (`fingerprint` of a Route)."""
        ...

    def fingerprint(self, route: Route) -> str: ...

    def confirm(self, route: Route, *, timeout_s: float) -> bool:
        """True as soon as requests on the public entry point are routed by exactly this route: asked through it."""
        ...

    def ready(self) -> bool:
        """The router accepts requests."""
        ...
