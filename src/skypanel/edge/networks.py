"""The networks this node's router is in: one per organization that it leads to, joined while it serves."""

from __future__ import annotations

import logging
import threading

from skypanel.drivers.engine.client import EngineClient, EngineFailed

log = logging.getLogger(__name__)


class Networks:
    """`container`: whose network namespace the router lives in."""

    def __init__(self, engine: EngineClient, container: str) -> None:
        self._engine, self._container = engine, container
        self._lock = threading.Lock()
        self._joined: set[str] | None = None

    def join(self, network: str) -> bool:
        """True when this node was not in it. Raises OSError while it cannot."""
        try:
            with self._lock:
                if self._joined is None:
                    self._joined = set(self._inspect())
                if network in self._joined:
                    return False
                self._connect(network)
                self._joined.add(network)
                return True
        except EngineFailed as error:
            raise OSError(f"the network {network} cannot be joined: {error}") from error

    def alive(self) -> bool:
        try:
            self._engine.get("/info")
        except EngineFailed:
            return False
        return True

    def address(self, network: str) -> str:
        """Ours in it. Raises OSError."""
        try:
            return str(self._inspect()[network]["IPAddress"])
        except (EngineFailed, KeyError) as error:
            raise OSError(f"this node is not in the network {network}: {error}") from error

    def _inspect(self) -> dict[str, dict[str, str]]:
        found = self._engine.get(f"/containers/{self._container}/json")
        return dict(found["NetworkSettings"]["Networks"])

    def _connect(self, network: str) -> None:
        try:
            self._engine.post(f"/networks/{network}/connect", {"Container": self._container}, timeout_s=30)
        except EngineFailed as error:
            # The engine may have noted what it could not do: the next attempt begins anew.
            self._engine.post(f"/networks/{network}/disconnect", {"Container": self._container, "Force": True})
            raise EngineFailed(str(error), status=error.status) from error
