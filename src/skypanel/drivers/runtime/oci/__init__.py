"""Daemonless OCI containers: runc creates them, conmon watches them, nobody else has to live. Linux and root.

driver.py     the verbs of the port           subnet.py     which network, and which address in it
oneoff.py     run to the end, with limits     network.py    bridge, network namespaces, veths
leftovers.py  removes all of one container    firewall.py   the nftables rules, as text
config.py     spec -> OCI config.json (pure)  nft.py        hands them to the kernel
stack.py      the read-only root and /etc     disk.py       the writable layer of /app, limited
monitor.py    starts conmon                   cgroups.py    v1, hybrid and v2
records.py    what is on disk -> Container    logfile.py    conmon's log lines
seccomp.py    the system call filter          logfile.py    conmon's log lines
doctor.py     what is missing on a machine    resolvers.py  which name servers containers get
"""

from skypanel.drivers.runtime.oci.driver import OciRuntime
from skypanel.drivers.runtime.oci.network import taken_networks
from skypanel.drivers.runtime.oci.subnet import choose_network

__all__ = ["OciRuntime", "choose_network", "taken_networks"]
