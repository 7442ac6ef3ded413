"""Removes all of one container, in whatever state a killed starter left it. Idempotent."""

from __future__ import annotations

import contextlib
import shutil

from skypanel.drivers import shell
from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.oci.monitor import monitor_of, orphans
from skypanel.drivers.runtime.oci.network import Network
from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.oci.records import read_lease, read_state
from skypanel.drivers.runtime.oci.subnet import Leases
from skypanel.drivers.runtime.port import RuntimeFailed

FLUSH_S = 2.0


def remove_all(container_id: str, *, places: Places, cgroups: Cgroups, network: Network, leases: Leases) -> None:
    """Processes first, then what they held. Raises RuntimeFailed when something will not die."""
    bundle = places.bundle(container_id)
    inside, outside = f"{places.cgroup}/{container_id}", f"{places.monitors}/{container_id}"
    if not bundle.exists() and not cgroups.exists(inside) and not cgroups.exists(outside):
        return
    complete = read_state(bundle) is not None
    if not complete:
        # The start was cut off: its monitor may still be creating, so it goes first and creates no more.
        for orphan in orphans(container_id, bundle):
            orphan.kill()
        _destroy(cgroups, outside)
    _destroy(cgroups, inside)
    if (monitor := monitor_of(bundle)) is not None:
        monitor.wait(FLUSH_S)  # it writes the last lines of the log
    _destroy(cgroups, outside)
    shutil.rmtree(places.runc / container_id, ignore_errors=True)
    _give_back(container_id, places=places, network=network, leases=leases, complete=complete)
    places.exit_file(container_id).unlink(missing_ok=True)
    with contextlib.suppress(OSError, RecursionError):  # a replica's files may lie deeper than Python goes
        shutil.rmtree(bundle)
    if bundle.exists():
        shell.run(["rm", "-rf", "--", bundle], timeout_s=600)


def _give_back(container_id: str, *, places: Places, network: Network, leases: Leases, complete: bool) -> None:
    index = read_lease(places.bundle(container_id))
    mine = (
        [index]
        if index is not None and complete
        else [i for i, owner in leases.held().items() if owner == container_id]
    )
    for each in mine:
        network.detach(leases.lease(each))
        leases.give_back(each)


def _destroy(cgroups: Cgroups, path: str) -> None:
    if stubborn := cgroups.destroy(path):
        raise RuntimeFailed(f"processes {stubborn} of {path} do not die; the machine may have to be restarted")
