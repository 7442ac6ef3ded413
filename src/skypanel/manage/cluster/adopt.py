"""A one-machine installation becomes the first machine of a cluster: same data directory, keys, releases and names.

Applications are not built again: their releases are on disk, and the worker makes images of them when it starts them.
"""

from __future__ import annotations

import os
from pathlib import Path

from skypanel.drivers.engine.client import EngineFailed
from skypanel.instance import read_instance
from skypanel.manage.cluster.init import (
    Ground,
    Options,
    Say,
    ensure_database,
    move_database,
    prepare_ground,
    raise_platform,
)
from skypanel.manage.cluster.inside import is_cluster
from skypanel.manage.preflight import CannotStart, lock
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
    if not file.exists() and not moved.exists() and not settings.database_url:
        raise CannotStart(f"The platform in {settings.data_dir} is a cluster already; `skypanel cluster init`.")
    _refuse_another_database(settings, file)
    ground = prepare_ground(settings, options, say)
    one_machine = settings.model_copy(update={"runtime": "oci"})
    down(one_machine, apps=False)
    say("The platform on one machine: stopped")
    held = lock(settings.data_dir)  # or systemd, say, starts it again at once
    try:
        _take_database(ground, settings, file, say)
    finally:
        os.close(held)
    down(one_machine, apps=True)
    say("Applications: stopped on one machine, started in the cluster in a moment")
    raise_platform(ground, settings, options, say)


def _take_database(ground: Ground, settings: Settings, file: Path, say: Say) -> None:
    """Where `file` is set aside, or the cluster's database was there before, `skypanel up` refuses from now on."""
    begins = file.exists() or not is_cluster(settings)
    try:
        ensure_database(ground, settings, say)
        if file.exists():
            move_database(ground, file, say)
    except (CannotStart, EngineFailed, OSError) as error:
        if not begins:
            raise
        (settings.data_dir / "keys" / "database.url").unlink(missing_ok=True)
        raise CannotStart(f"{error} Nothing is lost: `skypanel up` starts it on one machine again.") from error
    if file.exists():
        _set_aside(file, file.with_name(file.name + ADOPTED))


def _refuse_another_database(settings: Settings, file: Path) -> None:
    """SQLite moves into the cluster's own PostgreSQL only; another one would be taken as it is, be it empty."""
    if not settings.database_url:
        return
    if settings.database_url.startswith("sqlite"):
        raise CannotStart(
            f"A cluster's database is PostgreSQL: stop the platform, move its file to {file}, and run this without "
            "SKYPANEL_DATABASE_URL."
        )
    if file.exists():
        raise CannotStart(
            f"What is in {file} would not get into the database of SKYPANEL_DATABASE_URL: run this without that "
            "setting, and it moves into a PostgreSQL of the cluster's own. If the platform works with that database "
            "already, give the file another name first."
        )


def _set_aside(file: Path, moved: Path) -> None:
    """Kept, under a name that no platform opens."""
    for tail in ("-wal", "-shm", ""):
        if (part := file.with_name(file.name + tail)).exists():
            part.rename(moved.with_name(moved.name + tail))
