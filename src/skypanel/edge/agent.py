"""The processes and threads of an ingress node."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from skypanel.drivers.router.traefik import setup
from skypanel.drivers.router.traefik.command import any_launcher, traefiks
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.drivers.router.traefik.processes import Process, alive
from skypanel.edge.access import AccessLog
from skypanel.edge.follow import Follower

log = logging.getLogger(__name__)
RESOLVE_EVERY_S = 1.0
SERVE_OUT_S = 60.0


class Running(Protocol):
    """`drivers.shell.Child`."""

    def ended(self) -> bool: ...

    def stop(self) -> None: ...


class Servers:
    """Addresses of the control plane's copies by a name that the cluster's DNS answers with all of them; the last
    known ones while it does not."""

    def __init__(self, name: str, port: int) -> None:
        self._name, self._port = name, port
        self._known: tuple[str, ...] = ()

    def __call__(self) -> Sequence[str]:
        return self._known

    def look(self) -> bool:
        """True when they have changed."""
        try:
            found = socket.getaddrinfo(self._name, self._port, socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            return False
        urls = tuple(sorted({f"http://{address[0]}:{self._port}" for *_, address in found}))
        changed, self._known = urls != self._known, urls
        return changed


@dataclass
class Edge:
    """`start_follower` may fail (no engine, no control plane) and is tried again: Traefik serves meanwhile by the
    files it has."""

    config: RouterConfig
    servers: Servers
    access: AccessLog
    launcher: Callable[[], Running]
    start_follower: Callable[[], Follower]

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.servers.look()
        setup.prepare(self._config(), now=datetime.now(UTC))
        threading.Thread(target=self.access.run, args=(stopping,), name="access", daemon=True).start()
        router = self.launcher()
        follower: Follower | None = None
        ours: Sequence[Process] = ()
        while not stopping.is_set():
            if self.servers.look():
                setup.write_platform(self._config())
            if follower is None:
                follower = self._follow()
            if router.ended() and self.replaced():
                log.info("another edge has taken this node over")
                self._serve_out(ours, stopping)
                break
            ours = traefiks(self.config.directory) or ours
            if router.ended():
                log.warning("the router's launcher ended; it is started again")
                router = self.launcher()
            stopping.wait(RESOLVE_EVERY_S)
        if follower is not None:
            follower.stop()
        if not router.ended():
            router.stop()

    def _serve_out(self, ours: Sequence[Process], stopping: threading.Event) -> None:
        """The end of this process ends everything in its container: not before the other's Traefik is ready, has told
        ours to end, and that has answered what it had begun."""
        deadline = time.monotonic() + SERVE_OUT_S
        while any(alive(process) for process in ours) and time.monotonic() < deadline and not stopping.wait(0.1):
            pass

    def replaced(self) -> bool:
        """Whether the launcher of another edge has the ports now: it ends the one before it."""
        return any_launcher(self.config.directory)

    def _config(self) -> RouterConfig:
        """With the servers that are known now."""
        first, *others = self.servers() or (self.config.server_url,)
        return replace(self.config, server_url=first, other_servers=tuple(others))

    def _follow(self) -> Follower | None:
        try:
            follower = self.start_follower()
        except OSError as error:
            log.warning("cannot follow the control plane yet: %s", error)
            return None
        threading.Thread(target=follower.run, name="follow", daemon=True).start()
        return follower
