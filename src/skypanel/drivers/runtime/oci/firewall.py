"""What containers may reach, as nftables rules. `rules` is pure; `Firewall` keeps the kernel at them.

Containers reach the internet (masqueraded), the configured name servers and the private addresses the operator
allowed. They do not reach each other (isolated bridge ports), this machine, metadata services or private networks,
and cannot pretend to be each other: link, hardware address and IP address of each container belong together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from skypanel.drivers import shell
from skypanel.drivers.runtime.oci.nft import Nft
from skypanel.drivers.runtime.oci.subnet import FIRST, LAST, Lease, bridge_name, link_prefix
from skypanel.drivers.runtime.port import RuntimeFailed

PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    instance: str
    subnet: IPv4Network
    resolvers: Sequence[IPv4Address]
    allowed_private: Sequence[IPv4Network] = ()
    host_ports: Sequence[int] = ()  # TCP ports of this machine that containers may use: the router's

    @property
    def table(self) -> str:
        return f"skypanel_{self.instance}"


def rules(policy: Policy) -> str:
    bridge = bridge_name(policy.instance)
    resolvers = ", ".join(map(str, policy.resolvers))
    names = (
        [f"ip daddr {{ {resolvers} }} {protocol} dport 53 accept" for protocol in ("udp", "tcp")] if resolvers else []
    )
    ports = [f"tcp dport {{ {', '.join(map(str, policy.host_ports))} }} accept"] if policy.host_ports else []
    allowed = [f"ip daddr {network} accept" for network in policy.allowed_private]
    established = "ct state established,related accept"
    return "\n".join([
        f"table inet {policy.table} {{",
        *_chain("input", "type filter hook input priority -10; policy accept;", [f'iifname "{bridge}" jump to_host']),
        *_chain("to_host", None, [established, "icmp type echo-request accept", *names, *ports, "drop"]),
        *_chain("forward", "type filter hook forward priority -10; policy accept;", [
            f'iifname "{bridge}" jump from_container',
            f'oifname "{bridge}" jump to_container',
        ]),
        *_chain("from_container", None, [
            f'oifname "{bridge}" drop', "meta nfproto ipv6 drop", f"ip saddr != {policy.subnet} drop", established,
            *names, *allowed, f"ip daddr {{ {', '.join(PRIVATE)} }} drop", "accept",
        ]),
        *_chain("to_container", None, [established, "drop"]),
        *_chain("postrouting", "type nat hook postrouting priority 100; policy accept;", [
            f'ip saddr {policy.subnet} oifname != "{bridge}" masquerade',
        ]),
        "}",
    ])  # fmt: skip


def identity_rules(policy: Policy) -> str:
    """Every container there can be, once: link, hardware address and IP address follow from its index."""
    leases = (Lease(policy.instance, policy.subnet, index) for index in range(FIRST, LAST + 1))
    elements = ", ".join(
        f'"{lease.link}" . {lease.mac} . {lease.address}' for lease in leases if lease.address in policy.subnet
    )
    return "\n".join([
        f"table bridge {policy.table} {{",
        f"set containers {{ type ifname . ether_addr . ipv4_addr; elements = {{ {elements} }}; }}",
        *_chain("prerouting", "type filter hook prerouting priority -300; policy accept;", [
            f'iifname "{link_prefix(policy.instance)}*" jump from_container',
        ]),
        *_chain("from_container", None, [
            "iifname . arp saddr ether . arp saddr ip @containers accept",
            "iifname . ether saddr . ip saddr @containers accept",
            "drop",
        ]),
        "}",
    ])  # fmt: skip


def _chain(name: str, hook: str | None, lines: Sequence[str]) -> list[str]:
    return [f"chain {name} {{", *([hook] if hook else []), *lines, "}"]


class Firewall:
    def __init__(self, policy: Policy, nft: Nft | None = None) -> None:
        self._policy = policy
        self._nft = nft or Nft()
        self._listed: dict[str, str] = {}  # family -> what the kernel showed after our last change

    def prepare(self) -> None:
        """Sets the rules where they are not exactly ours. Raises RuntimeFailed."""
        self._keep("inet", rules)
        self._keep("bridge", identity_rules)
        self._let_through_other_firewalls()

    def _keep(self, family: str, wanted: Callable[[Policy], str]) -> None:
        listed = self._list(family)
        if listed is not None and listed == self._listed.get(family):
            return
        table = f"table {family} {self._policy.table}"
        # `add` first: deleting what is not there is an error, and all of it is one transaction.
        self._nft.run(f"add {table}\ndelete {table}\n{wanted(self._policy)}\n")
        self._listed[family] = self._list(family) or ""

    def _list(self, family: str) -> str | None:
        try:
            return self._nft.run(f"list table {family} {self._policy.table}\n")
        except RuntimeFailed:
            return None

    def _let_through_other_firewalls(self) -> None:
        """Docker and ufw drop what they don't know in iptables' FORWARD chain, whatever our own table says."""
        if shutil.which("iptables") is None:
            return
        listed = shell.run(["iptables", "-w", "5", "-S", "FORWARD"], check=False)
        if b"-P FORWARD DROP" not in listed.stdout:
            return
        docker = shell.run(["iptables", "-w", "5", "-S", "DOCKER-USER"], check=False).code == 0
        chain = "DOCKER-USER" if docker else "FORWARD"
        for rule in forward_rules(bridge_name(self._policy.instance)):
            if shell.run(["iptables", "-w", "5", "-C", chain, *rule], check=False).code != 0:
                shell.run(["iptables", "-w", "5", "-I", chain, "1", *rule])

    def destroy(self) -> None:
        for family in ("inet", "bridge"):
            table = f"table {family} {self._policy.table}"
            self._nft.run(f"add {table}\ndelete {table}\n")
        if shutil.which("iptables") is not None:
            for chain in ("DOCKER-USER", "FORWARD"):
                for rule in forward_rules(bridge_name(self._policy.instance)):
                    shell.run(["iptables", "-w", "5", "-D", chain, *rule], check=False)


def forward_rules(bridge: str) -> list[list[str]]:
    return [
        ["-i", bridge, "!", "-o", bridge, "-j", "ACCEPT"],
        ["-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
    ]
