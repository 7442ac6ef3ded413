"""What tenants' containers may reach from a machine of the cluster, as nftables rules. Pure; `agent` loads them.

Their own organization's network is theirs; everything else leaves through the engine's bridge `docker_gwbridge`, where
these rules look at it: no private address, no machine of the cluster, no metadata service. Name servers are allowed.
The platform's own containers, which are on the same bridge, are named one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TABLE = "skypanel_node"
BRIDGE = "docker_gwbridge"
PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
)  # fmt: skip


def _set(values: Iterable[str]) -> str:
    return f"{{ {', '.join(values)} }}"


def rules(
    *, platform: Sequence[str], resolvers: Sequence[str], allowed: Sequence[str], machines: Sequence[str],
    ports: Sequence[int],
) -> str:  # fmt: skip
    """`platform`: addresses on the bridge of the platform's own containers. `machines`: of the cluster. `ports`: the
    router's public ones, which stay reachable by the machines' own addresses."""
    names = f"ip daddr {_set(resolvers)} meta l4proto {{ tcp, udp }} th dport 53 accept" if resolvers else ""
    excepted = f"ip daddr {_set(allowed)} accept" if allowed else ""
    ours = f"ip saddr {_set(platform)} accept" if platform else ""
    mine = f"ip daddr {_set(machines)} drop" if machines else ""
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain leaving {{
    type filter hook forward priority filter - 10; policy accept;
    iifname "{BRIDGE}" jump from_container
  }}
  chain arriving {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{BRIDGE}" jump to_machine
  }}
  chain from_container {{
    ct state established,related accept
    {ours}
    meta l4proto tcp ct original proto-dst {_set(map(str, ports))} ct status dnat accept
    {names}
    {excepted}
    {mine}
    ip daddr {_set(PRIVATE)} drop
    meta nfproto ipv6 drop
  }}
  chain to_machine {{
    ct state established,related accept
    {ours}
    {names}
    drop
  }}
}}
"""
