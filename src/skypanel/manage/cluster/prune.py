"""The registry's disk, given back now instead of at night."""

from __future__ import annotations

from collections.abc import Callable

from skypanel.manage.cluster.inside import is_cluster
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings
from skypanel.wiring.cluster import image_sweep


def prune(settings: Settings, say: Callable[[str], None]) -> None:
    """While images are published and pulled. Raises CannotStart and OSError (RegistryFailed)."""
    if not is_cluster(settings):
        raise CannotStart(f"No cluster keeps its data in {settings.data_dir}: this works on a manager, as root.")
    say("Looking for what no image needs any more; some three minutes")
    freed = image_sweep(settings).run()
    say(f"Registry: {freed.blobs} blobs removed, {freed.size / 1e6:.1f} MB freed")
