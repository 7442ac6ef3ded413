"""The bridge and the containers' links, by netlink. A network namespace here has no name: it is held by a file
descriptor until runc has joined it and dies with its container, and its links with it."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from skypanel.drivers.runtime.oci.subnet import Lease, bridge_mac, bridge_name, gateway, link_prefix
from skypanel.drivers.runtime.port import RuntimeFailed

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    def __init__(self, *, instance: str, subnet: IPv4Network) -> None:
        self.subnet = subnet
        self.bridge = bridge_name(instance)
        self._mac = bridge_mac(instance)
        self._prefix = link_prefix(instance)

    @property
    def gateway(self) -> IPv4Address:
        return gateway(self.subnet)

    def prepare(self) -> None:
        """Bridge, its address, forwarding. Raises RuntimeFailed."""
        with _translated("the bridge could not be set up"), IPRoute() as ip:
            index = _index(ip, self.bridge)
            self._refuse_shared_network(ip, index)
            if index is None:
                ip.link("add", ifname=self.bridge, kind="bridge", address=self._mac)
                index = _index(ip, self.bridge)
            if index is None:
                raise RuntimeFailed(f"the bridge {self.bridge} was removed while it was made")
            wanted = (str(self.gateway), self.subnet.prefixlen)
            present = {
                (address.get_attr("IFA_ADDRESS"), address["prefixlen"])
                for address in ip.get_addr(index=index, family=socket.AF_INET)
            }
            if wanted not in present:
                ip.addr("add", index=index, address=wanted[0], prefixlen=wanted[1])
            for address, length in present - {wanted}:
                ip.addr("del", index=index, address=address, prefixlen=length)
            # Left alone, a bridge takes the lowest address of its links and changes it as they come and go: answers of
            # containers that know the old one are lost until they ask again, up to half a minute later.
            ip.link("set", index=index, state="up", address=self._mac)
            for link in ip.get_links():
                if str(link.get_attr("IFLA_IFNAME")).startswith(self._prefix):
                    _enslave(ip, link["index"], index)
        sysctl("net/ipv4/ip_forward", "1")
        sysctl(f"net/ipv6/conf/{self.bridge}/disable_ipv6", "1")

    def _refuse_shared_network(self, ip: IPRoute, bridge: int | None) -> None:
        for address in ip.get_addr(family=socket.AF_INET):
            other = IPv4Network((address.get_attr("IFA_ADDRESS"), address["prefixlen"]), strict=False)
            if address["index"] != bridge and other.prefixlen and other.overlaps(self.subnet):
                name = address.get_attr("IFA_LABEL")
                raise RuntimeFailed(
                    f"the container network {self.subnet} overlaps with {other} of {name}; set another one"
                )

    def attach(self, lease: Lease) -> Attachment:
        """Starts making a namespace; its descriptor is there at once, its links a few milliseconds later."""
        return Attachment(self, lease)

    def detach(self, lease: Lease) -> None:
        """Removes the container's link at once; without it the kernel does so some time after the namespace died."""
        with _translated("a link could not be removed"), IPRoute() as ip:
            index = _index(ip, lease.link)
            if index is not None:
                try:
                    ip.link("del", index=index)
                except NetlinkError as error:
                    if error.code != 19:  # ENODEV: it went by itself meanwhile
                        raise

    def destroy(self) -> None:
        """The platform is being uninstalled."""
        with _translated("the bridge could not be removed"), IPRoute() as ip:
            index = _index(ip, self.bridge)
            if index is not None:
                ip.link("del", index=index)


class Attachment:
    """A network namespace in the making. `fd` is valid until `close`."""

    def __init__(self, network: Network, lease: Lease) -> None:
        self._network = network
        self._lease = lease
        self._ready = threading.Event()
        self._error: Exception | None = None
        self.fd = -1
        # Namespaces belong to threads: this one makes a new namespace, works inside it and ends.
        self._thread = threading.Thread(target=self._make, name=f"netns-{lease.index}")
        self._thread.start()
        self._ready.wait()
        if self.fd < 0:
            self.finish()

    def _make(self) -> None:
        try:
            host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.unshare(CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "unshare")
                for name in ("all", "default"):
                    sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")
                sysctl("net/ipv4/ip_unprivileged_port_start", "0")
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                self._ready.set()
                with IPRoute() as ip:
                    self._configure(ip, host)
            finally:
                os.close(host)
        except (OSError, NetlinkError) as error:
            self._error = error
        finally:
            self._ready.set()

    def _configure(self, ip: IPRoute, host: int) -> None:
        lease = self._lease
        peer = {"ifname": lease.link, "net_ns_fd": host}
        ip.link("add", ifname="eth0", kind="veth", address=lease.mac, peer=peer)
        index = _index(ip, "eth0")
        ip.addr("add", index=index, address=str(lease.address), prefixlen=self._network.subnet.prefixlen)
        ip.link("set", index=index, state="up")
        ip.link("set", index=1, state="up")
        ip.route("add", dst="default", gateway=str(self._network.gateway))

    def finish(self) -> None:
        """Waits until the inside is done and puts the outside on the bridge. Raises RuntimeFailed."""
        self._thread.join()
        if self._error is not None:
            raise RuntimeFailed(f"the container's network could not be made: {self._error}") from self._error
        with _translated("the container's link could not join the bridge"), IPRoute() as ip:
            bridge, link = _index(ip, self._network.bridge), _index(ip, self._lease.link)
            if bridge is None or link is None:
                raise RuntimeFailed(f"the bridge {self._network.bridge} is gone; it is mended within a minute")
            _enslave(ip, link, bridge)
            # A permanent entry: no container can claim this address by ARP.
            ip.neigh("replace", dst=str(self._lease.address), lladdr=self._lease.mac, ifindex=bridge, state="permanent")

    def close(self) -> None:
        self._thread.join()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def taken_networks() -> list[IPv4Network]:
    """Every IPv4 network this machine has a route to or an address in, apart from the default route."""
    found = set()
    with IPRoute() as ip:
        for route in ip.get_routes(family=socket.AF_INET):
            if destination := route.get_attr("RTA_DST"):
                found.add(IPv4Network((destination, route["dst_len"]), strict=False))
        for address in ip.get_addr(family=socket.AF_INET):
            found.add(IPv4Network((address.get_attr("IFA_ADDRESS"), address["prefixlen"]), strict=False))
    loopback = IPv4Network("127.0.0.0/8")
    return sorted(network for network in found if network.prefixlen and not network.overlaps(loopback))


def sysctl(name: str, value: str) -> None:
    """Writes only what differs. A kernel without IPv6 has no such file, and nothing to turn off."""
    file = Path("/proc/sys") / name
    try:
        if file.read_text().strip() != value:
            file.write_text(value)
    except FileNotFoundError:
        return


def _index(ip: IPRoute, name: str) -> int | None:
    found = ip.link_lookup(ifname=name)
    return int(found[0]) if found else None


def _enslave(ip: IPRoute, link: int, bridge: int) -> None:
    ip.link("set", index=link, master=bridge, state="up")
    ip.brport("set", index=link, isolated=1)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (NetlinkError, OSError) as error:
        raise RuntimeFailed(f"{what}: {error}") from error
