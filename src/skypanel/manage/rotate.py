"""A new master key: everything encrypted is written again under it, then the older keys are forgotten."""

from __future__ import annotations

from skypanel.apps.rotation import rotate_keys
from skypanel.apps.vault import Vault
from skypanel.db import Database
from skypanel.instance import read_instance
from skypanel.manage.keys import add_master_key, keep_first_master_key
from skypanel.manage.preflight import CannotStart, lock
from skypanel.settings import Settings


def rotate_master_key(settings: Settings) -> int:
    """Returns how many values were encrypted anew. The platform must be down: running processes know the old key only.
    Interrupted at any moment, everything stays readable, since older keys go last. Raises CannotStart."""
    instance = read_instance(settings.data_dir)
    if instance is None:
        raise CannotStart(f"There is no platform in {settings.data_dir}: set SKYPANEL_DATA_DIR.")
    lock(settings.data_dir)
    directory = settings.data_dir / "keys"
    keys = add_master_key(directory, gid=instance.gid)
    database = Database(settings.effective_database_url)
    try:
        with database.transaction() as session:
            count = rotate_keys(session, Vault(keys))
    finally:
        database.close()
    keep_first_master_key(directory, gid=instance.gid)
    return count
