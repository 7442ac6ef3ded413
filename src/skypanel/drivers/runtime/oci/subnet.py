"""Which network a platform takes, and which address of it a container gets."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from skypanel.drivers.runtime.port import RuntimeFailed

PREFIX = 20
FIRST, LAST = 2, 4094  # .0 is the network, .1 the gateway, the last one broadcast


def choose_network(pool: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first /20 of `pool` that overlaps nothing taken (routes and addresses of the machine, other platforms).
    Raises RuntimeFailed when there is none."""
    used = [network for network in taken if network.prefixlen > 0]  # the default route takes nothing
    if pool.prefixlen > PREFIX:
        raise RuntimeFailed(f"the network pool {pool} is smaller than a /{PREFIX}")
    for candidate in pool.subnets(new_prefix=PREFIX):
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise RuntimeFailed(
        f"every /{PREFIX} of the network pool {pool} is in use; set SKYPANEL_NETWORK_POOL to a free one"
    )


@dataclass(frozen=True)
class Lease:
    """An address and what follows from it: link names and hardware addresses are functions of (instance, index), so
    that the firewall can be written once for every container there will ever be."""

    instance: str
    network: IPv4Network
    index: int

    @property
    def address(self) -> IPv4Address:
        return self.network.network_address + self.index

    @property
    def link(self) -> str:
        return f"{link_prefix(self.instance)}{self.index:03x}"

    @property
    def mac(self) -> str:
        octets = [0x02, *bytes.fromhex(self.instance[:6]), self.index >> 8, self.index & 0xFF]
        return ":".join(f"{octet:02x}" for octet in octets)


def bridge_mac(instance: str) -> str:
    """No container's: their last two octets are an index below 4096."""
    return ":".join(f"{octet:02x}" for octet in (0x02, *bytes.fromhex(instance[:6]), 0xFF, 0xFF))


def bridge_name(instance: str) -> str:
    return f"sky{instance[:6]}"


def link_prefix(instance: str) -> str:
    return f"sky{instance[:6]}-"


def gateway(network: IPv4Network) -> IPv4Address:
    return network.network_address + 1


class Leases:
    """Addresses as files whose creation is the lock; the content is the container's id."""

    def __init__(self, directory: Path, *, instance: str, network: IPv4Network) -> None:
        self._directory = directory
        self._instance = instance
        self._network = network

    def lease(self, index: int) -> Lease:
        return Lease(self._instance, self._network, index)

    def take(self, container_id: str) -> Lease:
        """Raises RuntimeFailed when every address is taken."""
        size = min(LAST, self._network.num_addresses - 2) - FIRST + 1
        # A random start keeps an address that was just given back unused for as long as possible on average.
        start = secrets.randbelow(size)
        for step in range(size):
            index = FIRST + (start + step) % size
            try:
                file = os.open(self._directory / f"{index}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(file, "w") as stream:
                stream.write(container_id)
            return self.lease(index)
        raise RuntimeFailed(f"all addresses of {self._network} are in use")

    def held(self) -> dict[int, str]:
        """Index -> container id. An empty id: its taker died, or is just writing it."""
        found = {}
        for file in self._directory.iterdir():
            try:
                found[int(file.name)] = file.read_text()
            except FileNotFoundError:
                continue
        return found

    def give_back(self, index: int, *, older_than_s: float | None = None) -> None:
        """`older_than_s`: only when it was taken that long ago."""
        file = self._directory / f"{index}"
        try:
            if older_than_s is None or time.time() - file.stat().st_mtime >= older_than_s:
                file.unlink()
        except FileNotFoundError:
            return
