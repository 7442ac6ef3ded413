"""Ends containers that write too much where the kernel does not keep the limit: machines without loop devices."""

from __future__ import annotations

from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.oci.records import read_disk_limit, read_state, running
from skypanel.drivers.usage import size_of

LOOK_S = 2.0


def end_disk_hogs(places: Places) -> bool:
    """True when there are containers that have to be looked at again soon."""
    watched = False
    for bundle in places.containers.iterdir() if places.containers.is_dir() else ():
        upper = bundle / "upper"
        if not upper.is_dir():
            continue
        state, limit = read_state(bundle), read_disk_limit(bundle)
        if state is None or limit is None or not running(state):
            continue
        watched = True
        if size_of(upper) > limit:
            state.process.kill()
    return watched
