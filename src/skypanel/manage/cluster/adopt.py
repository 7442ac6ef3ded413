"""A one-machine installation becomes the first machine of a cluster: same data directory, keys, releases and names.

Applications are not built again: their releases are on disk, and the worker makes images of them when it starts them.
"""

from __future__ import annotations

from pathlib import Path

from skypanel.drivers.engine.client import EngineFailed
from skypanel.instance import read_instance
from skypanel.manage.cluster.init import (
    Options,
    Say,
    ensure_database,
    move_database,
    prepare_ground,
    raise_platform,
)
from skypanel.manage.preflight import CannotStart
from skypanel.manage.up import down
from skypanel.settings import Settings

ADOPTED = ".adopted"


def adopt(settings: Settings, options: Options, say: Say) -> None:
    """Idempotent: broken off, it goes on where it was. What can be made while the platform serves is made first; then
    it is stopped, and applications are away until they have been started in the cluster. Raises CannotStart."""
    file = settings.data_dir / "db" / "skypanel.db"
    moved = file.with_name(file.name + ADOPTED)
    instance = read_instance(settings.data_dir)
    if instance is None or not instance.network:
        raise CannotStart(f"No one-machine platform is in {settings.data_dir}; `skypanel cluster init` is for that.")
    if not file.exists() and not moved.exists() and settings.database_url is None:
        raise CannotStart(f"The platform in {settings.data_dir} is a cluster already; `skypanel cluster init`.")
    ground = prepare_ground(settings, options, say)
    one_machine = settings.model_copy(update={"runtime": "oci"})
    down(one_machine, apps=False)
    say("The platform on one machine: stopped")
    if file.exists() and settings.database_url is None:
        try:
            ensure_database(ground, settings, say)
            move_database(ground, file, say)
        except (CannotStart, EngineFailed, OSError) as error:
            (settings.data_dir / "keys" / "database.url").unlink(missing_ok=True)
            raise CannotStart(f"{error} Nothing is lost: `skypanel up` starts it on one machine again.") from error
        _set_aside(file, moved)
    else:
        ensure_database(ground, settings, say)
    down(one_machine, apps=True)
    say("Applications: stopped on one machine, started in the cluster in a moment")
    raise_platform(ground, settings, options, say)


def _set_aside(file: Path, moved: Path) -> None:
    """Kept, under a name that no platform opens."""
    for tail in ("-wal", "-shm", ""):
        if (part := file.with_name(file.name + tail)).exists():
            part.rename(moved.with_name(moved.name + tail))
