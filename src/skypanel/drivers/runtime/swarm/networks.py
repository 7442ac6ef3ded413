"""Organizations' networks, with the ingress machines in them before anything of theirs starts on another machine.

Engines tell each other of the addresses in a network for less than a second, and only those that they know to be in it
already. Of two that enter a new one at the same moment, neither may hear of the other's until the next full exchange,
half a minute later (moby/libnetwork, networkdb: gossip and bulk sync; measured: 9 of 20 first replicas of an
organization, on another machine than the router, were not reached for 9 to 36 s).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from skypanel.drivers.engine.client import EngineFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.drivers.runtime.swarm import names
from skypanel.drivers.runtime.swarm.api import SwarmApi

log = logging.getLogger(__name__)
HEARD_S = 1.0  # until every engine knows who is in a network


class Networks:
    """`enter`: has every ingress machine enter a network, by name; True when one of them was not in it."""

    def __init__(self, api: SwarmApi, enter: Callable[[str], bool]) -> None:
        self._api, self._enter = api, enter
        self._entered: set[str] = set()
        self._entering: dict[str, threading.Lock] = {}

    def of(self, organization_id: str, *, reached: bool) -> str:
        """Its id. `reached`: what starts in it has to be reached by the routers. Raises RuntimeFailed when no address
        pool is left."""
        network = self._api.network(organization_id)
        if not reached:
            return network
        with self._entering.setdefault(network, threading.Lock()):
            if network not in self._entered:
                if self._enter(names.network_name(self._api.instance, organization_id)):
                    time.sleep(HEARD_S)
                self._entered.add(network)
        return network

    def expect(self, organization_id: str) -> None:
        """Something of it will be started in a while; the network is made ready meanwhile. Returns at once."""
        threading.Thread(target=self._ahead, args=(organization_id,), name="network", daemon=True).start()

    def _ahead(self, organization_id: str) -> None:
        try:
            self.of(organization_id, reached=True)
        except (RuntimeFailed, EngineFailed) as error:
            log.info("the network of %s is not ready yet: %s", organization_id, error)
