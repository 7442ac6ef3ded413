"""Asks Traefik, through its public entry point, what it routes by: the answer comes from the very configuration that
routed the question."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any
from urllib.parse import quote

from skypanel.drivers.router.port import Route
from skypanel.drivers.router.traefik import files
from skypanel.drivers.router.traefik.config import internal_host

TIMEOUT_S = 2.0


def _reachable(host: str) -> str:
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


class Inside:
    """A connection that is opened again whenever it broke; use as a context manager."""

    def __init__(self, *, host: str, port: int, secret: str) -> None:
        self._connection = http.client.HTTPConnection(_reachable(host), port, timeout=TIMEOUT_S)
        self._name = internal_host(secret)

    def __enter__(self) -> Inside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _get(self, path: str) -> tuple[int, bytes]:
        """Status and body; (0, b"") when the router cannot be reached."""
        try:
            self._connection.request("GET", path, headers={"Host": self._name})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, b""

    def _loaded(self, kind: str, name: str) -> dict[str, Any] | None:
        status, body = self._get(f"/api/http/{kind}/{quote(name)}@file")
        if status != http.client.OK:
            return None
        try:
            value = json.loads(body)
        except ValueError:
            return None
        return value if isinstance(value, dict) and value.get("status") == "enabled" else None

    def answers(self) -> bool:
        return self._get("/ping")[0] == http.client.OK

    def serves(self, route: Route) -> bool:
        """True when routers and service are loaded exactly as `render` has them."""
        wanted = files.render(route)["http"]
        for name, router in wanted["routers"].items():
            loaded = self._loaded("routers", name)
            if loaded is None or not _same_router(loaded, router):
                return False
        for name, service in wanted.get("services", {}).items():
            loaded = self._loaded("services", name)
            if loaded is None or not _same_servers(loaded, service):
                return False
        return True


def _same_router(loaded: dict[str, Any], wanted: dict[str, Any]) -> bool:
    middlewares = [f"{name}@file" for name in wanted["middlewares"]]
    return (
        loaded.get("rule") == wanted["rule"]
        and str(loaded.get("service", "")).removesuffix("@file") == wanted["service"]
        and loaded.get("middlewares") == middlewares
    )


def _same_servers(loaded: dict[str, Any], wanted: dict[str, Any]) -> bool:
    balancer = loaded.get("loadBalancer", {})
    wanted_balancer = wanted["loadBalancer"]
    urls = [server.get("url") for server in balancer.get("servers", [])]
    return urls == [server["url"] for server in wanted_balancer["servers"]] and (balancer.get("healthCheck") or {}).get(
        "path"
    ) == (wanted_balancer.get("healthCheck") or {}).get("path")
