"""`python3 -m skypanel.manage.cluster.agent`: on every machine of a cluster, in its own network.

Keeps the firewall between tenants and everything else, the names under which the engine finds the registry, the limits
of replicas' disks, and the ingress up, and lets the platform's containers be found in their networks. Knows only its
own engine, so that it does its part whatever else is away.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.swarm.scripts import GREET
from skypanel.manage.cluster import edge_node, firewall, trust
from skypanel.manage.cluster.disk_keeper import DiskKeeper
from skypanel.manage.cluster.stack import PART
from skypanel.settings import Settings

log = logging.getLogger(__name__)
EVERY_S = 5.0
ANSWER_S = 0.5
SETTLE_S = 0.1
HOSTS, CERTIFICATES, RESOLVERS = Path("/host/hosts"), Path("/host/certs.d"), Path("/host/resolv.conf")
# Images of the registry and of PostgreSQL may be small ones, which have no bash.
GREETING = """\
command -v bash >/dev/null && exec bash -c "$0"
for own in $(hostname -i); do ping -c 1 -W 1 "${own%.*}.1"; done
"""
AUTHORITY = Path("/run/secrets/registry-ca.crt")


class Agent:
    def __init__(self, settings: Settings, engine: EngineClient) -> None:
        self._settings, self._engine = settings, engine
        self._loaded = ""
        self._greeted: set[str] = set()
        self._changed = threading.Event()
        self._stopping = threading.Event()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        threading.Thread(target=self._listen, name="events", daemon=True).start()
        disks = DiskKeeper(self._engine)
        threading.Thread(target=disks.run, args=(self._stopping,), name="disks", daemon=True).start()
        while not self._stopping.is_set():
            self._changed.clear()
            self.look()
            self._changed.wait(EVERY_S)
            self._stopping.wait(SETTLE_S)

    def _stop(self) -> None:
        self._stopping.set()
        self._changed.set()

    def look(self) -> None:
        """Brings firewall, names and ingress to what they should be now: each for itself, since what keeps one of them
        down says nothing about the others."""
        brings = {
            "firewall": self._bring_firewall, "names": self._bring_names, "ingress": self._bring_ingress,
            "networks": self._greet,
        }  # fmt: skip
        for part, bring in brings.items():
            try:
                bring()
            except (EngineFailed, OSError, shell.CommandFailed) as error:
                log.warning("%s of this machine: %s; trying again in a moment", part, error)

    def _bring_firewall(self) -> None:
        managers, own = self._machines()
        wanted = firewall.rules(
            platform=self._platform(), resolvers=resolvers(RESOLVERS), ports=self._ports(),
            allowed=self._settings.egress_allowed_private, machines=sorted({*managers, own}),
        )  # fmt: skip
        if wanted != self._loaded or not self._in_force():
            shell.run(["nft", "-f", "-"], stdin=wanted.encode())
            self._loaded = wanted
            log.info("the firewall is up to date")

    def _bring_names(self) -> None:
        if self._settings.registry_insecure:
            return
        managers, _own = self._machines()
        if managers:
            there = answering(managers, int(self._settings.registry.rpartition(":")[2]))
            trust.trust_registry(
                self._settings.registry, AUTHORITY.read_text(), there, hosts=HOSTS, certificates=CERTIFICATES
            )

    def _bring_ingress(self) -> None:
        if edge_node.revive(self._engine):
            log.warning("the ingress of this machine was down and is started again")

    def _greet(self) -> None:
        """Has each of the platform's containers heard once in its networks: the database and the registry are asked at
        addresses that may have been another machine's, see `scripts.GREET`."""
        running = self._running()
        self._greeted &= running
        for container in sorted(running - self._greeted):
            try:
                made = self._engine.post(f"/containers/{container}/exec", {"Cmd": ["sh", "-c", GREETING, GREET]})["Id"]
                self._engine.post(f"/exec/{made}/start", {"Detach": True})
            except EngineFailed as error:
                if not error.status:
                    raise
                # It has ended, or has no shell.
                log.info("%s does not speak in its networks: %s", container[:12], error)
            self._greeted.add(container)

    def _machines(self) -> tuple[Sequence[str], str]:
        """Addresses of the managers, and of this machine."""
        swarm: Mapping[str, Any] = self._engine.get("/info")["Swarm"]
        managers = sorted(each["Addr"].rpartition(":")[0] for each in swarm.get("RemoteManagers") or ())
        return managers, swarm["NodeAddr"]

    def _ports(self) -> tuple[int, int]:
        return self._settings.http_port, self._settings.https_port

    def _in_force(self) -> bool:
        return shell.run(["nft", "list", "table", "inet", firewall.TABLE], check=False).code == 0

    def _platform(self) -> list[str]:
        """Addresses of the platform's own containers on the bridge."""
        ours = self._running()
        found = self._engine.get(f"/networks/{firewall.BRIDGE}")["Containers"] or {}
        return sorted(each["IPv4Address"].partition("/")[0] for i, each in found.items() if i in ours)

    def _running(self) -> set[str]:
        """The platform's own containers."""
        return {each["Id"] for each in self._engine.get("/containers/json", filters={"label": [PART]})}

    def _listen(self) -> None:
        """The engine says when containers come and go."""
        while not self._stopping.is_set():
            try:
                for line in self._engine.lines(
                    "/events", {"filters": json.dumps({"type": ["container"], "event": ["start", "die"]})}
                ):
                    if PART in line:
                        self._changed.set()
            except EngineFailed as error:
                log.info("the engine's events break off: %s", error)
            self._stopping.wait(1.0)


def answering(addresses: Sequence[str], port: int) -> Sequence[str]:
    """Those where something listens, or all when it does nowhere: the engine would wait long for one that is lost."""
    found = []
    for address in addresses:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=ANSWER_S):
            found.append(address)
    return found or addresses


def resolvers(path: Path) -> list[str]:
    """IPv4 name servers of the machine, which its containers ask."""
    found = []
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1])
            except ValueError:
                continue
            if address.version == 4 and not address.is_loopback:
                found.append(str(address))
    return found


def main() -> None:
    settings = Settings()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    os.umask(0o022)
    Agent(settings, EngineClient(settings.docker_socket)).run()


if __name__ == "__main__":
    main()
