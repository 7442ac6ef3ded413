"""A complete router in memory, for tests and the memory runtime: it remembers routes and says where a host leads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from skypanel.drivers.router.check import check, check_key
from skypanel.drivers.router.port import Backend, Page, Route


@dataclass
class MemoryRouter:
    is_ready: bool = True
    confirms: bool = True  # False: puts are taken but never served, as by a router that hangs
    by_key: dict[str, Route] = field(default_factory=dict)
    puts: list[Route] = field(default_factory=list)  # every put, in order

    def put(self, route: Route) -> None:
        check(route)
        self.by_key[route.key] = route
        self.puts.append(route)

    def remove(self, key: str) -> None:
        check_key(key)
        self.by_key.pop(key, None)

    def routes(self) -> Mapping[str, str]:
        return {key: self.fingerprint(route) for key, route in self.by_key.items()}

    def fingerprint(self, route: Route) -> str:
        value = (
            route.key, route.name, tuple(route.hosts), tuple(route.backends), route.page, route.health_path,
            route.health_timeout_s,
        )  # fmt: skip
        return hashlib.sha256(repr(value).encode()).hexdigest()

    def confirm(self, route: Route, *, timeout_s: float) -> bool:  # noqa: ARG002 - in memory there is nothing to wait for
        return self.confirms and self.routes().get(route.key) == self.fingerprint(route)

    def ready(self) -> bool:
        return self.is_ready

    def leads_to(self, host: str) -> tuple[Backend, ...] | Page | None:
        """Where a visitor of `host` ends: backends, a page, or None (the 404 page)."""
        for route in self.by_key.values():
            if host in route.hosts:
                return tuple(route.backends) or route.page
        return None
