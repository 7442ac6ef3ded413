"""Which addresses may be connected to: public ones, and the hosts an operator allows by name or network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from skypanel.drivers.source.port import FetchFailed

Resolve = Callable[[str, int], Sequence[str]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def system_resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Neither private, loopback, link-local (cloud metadata), shared, multicast nor reserved; also not in disguise."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def is_allowed(host: str, address: str, allowed: Sequence[str]) -> bool:
    """`allowed`: host names, addresses or networks."""
    for entry in allowed:
        if entry.lower() == host.lower():
            return True
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue
        ip = ipaddress.ip_address(address.split("%", 1)[0])
        if ip.version == network.version and ip in network:
            return True
    return False


def pinned(host: str, port: int, *, allowed: Sequence[str], resolve: Resolve = system_resolve) -> str:
    """The one address to connect to, checked: git is told to use it, so a second answer of the DNS changes nothing.
    Raises FetchFailed `git_unreachable` (unknown host) or `git_refused` (an address that is not public)."""
    try:
        addresses = resolve(host, port)
    except OSError as error:
        raise FetchFailed("git_unreachable", f"The host {host} is not known: check the Git URL.") from error
    refused = [a for a in addresses if not is_public(a) and not is_allowed(host, a, allowed)]
    if refused or not addresses:
        raise FetchFailed(
            "git_refused",
            f"{host} is on a private address, which is not fetched from: use a public host, or ask the operator to "
            "allow it (SKYPANEL_GIT_ALLOWED_PRIVATE_HOSTS).",
        )
    return min(addresses, key=lambda address: ":" in address)  # IPv4 first: more hosts have a working route for it
