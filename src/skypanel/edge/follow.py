"""Asks the control plane for changes, puts them into force, and tells by asking again what is in force."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from skypanel.drivers.router.port import Route, Router, RouterFailed
from skypanel.kit.secret import Secret
from skypanel.routing.published import read

log = logging.getLogger(__name__)
CONFIRM_S = 10.0
ANSWER_S = 10.0  # the control plane answers after three seconds at the latest
AGAIN_S = 0.5


class Reaches(Protocol):
    def join(self, network: str) -> bool:
        """Makes this node part of an organization's network; True when it was not. Raises OSError."""
        ...

    def alive(self) -> bool:
        """Whether the engine is there: without it nobody tells this machine where new replicas are."""
        ...


@dataclass(frozen=True)
class Self:
    """What this node says of itself."""

    name: str
    address: str
    probe_port: int
    http_port: int


class Follower:
    """`state`: a file with the revision that is in force. `servers`: base URLs of the control plane's copies."""

    def __init__(
        self, *, me: Self, token: Secret, router: Router, networks: Reaches, state: Path,
        servers: Callable[[], Sequence[str]], client: httpx.Client,
    ) -> None:  # fmt: skip
        self._me, self._token, self._router, self._networks = me, token, router, networks
        self._state, self._servers, self._http = state, servers, client
        self._next = 0
        self._stopping = threading.Event()
        self.loaded = self._remembered()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping.is_set():
            if not self.turn():
                self._stopping.wait(AGAIN_S)

    def stop(self) -> None:
        self._stopping.set()

    def turn(self) -> bool:
        """One question. False when nobody answered, or what was told is not in force yet."""
        servers = self._servers()
        if not servers or not self._networks.alive():
            return False  # who does not ask is not counted on; what is served goes on being served
        url = servers[self._next % len(servers)]
        try:
            answer = self._http.get(
                f"{url}/_edge/routes", timeout=httpx.Timeout(ANSWER_S, connect=1.0),
                headers={"Authorization": f"Bearer {self._token.reveal()}"},
                params={"name": self._me.name, "address": self._me.address, "probe_port": self._me.probe_port,
                        "http_port": self._me.http_port, "loaded": self.loaded},
            )  # fmt: skip
            if answer.status_code == 204:
                return True
            if answer.status_code == 200:
                return self._take(answer.json())
            log.warning("the control plane at %s answers %d", url, answer.status_code)
        except (httpx.HTTPError, ValueError) as error:
            log.info("the control plane at %s does not answer: %s", url, error)
        self._next += 1
        return False

    def _take(self, told: Mapping[str, Any]) -> bool:
        """False when a part of it did not work: it is asked for again."""
        routes: dict[str, Route | None] = {
            key: None if content is None else read(content) for key, content in told["routes"]
        }
        if told["whole"]:
            routes |= dict.fromkeys(self._router.routes().keys() - routes.keys())
        good = True
        for key, route in routes.items():
            try:
                if route is None:
                    self._router.remove(key)
                else:
                    self._join(route)
                    self._router.put(route)
            except (RouterFailed, OSError) as error:
                log.warning("the route of %s is not taken: %s", key, error)
                good = False
        deadline = time.monotonic() + CONFIRM_S
        for route in routes.values():
            if route is not None and good:
                good = self._router.confirm(route, timeout_s=max(0.0, deadline - time.monotonic()))
        if good:
            self._remember(int(told["revision"]))
        return good

    def _join(self, route: Route) -> None:
        if route.network and route.backends:
            self._networks.join(route.network)

    def _remembered(self) -> int:
        try:
            return int(json.loads(self._state.read_text())["revision"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _remember(self, revision: int) -> None:
        self.loaded = revision
        draft = self._state.with_suffix(".new")
        draft.write_text(json.dumps({"revision": revision}))
        draft.replace(self._state)
