"""Environment variables: what other rooms call."""

from skypanel.apps.env_rows import read_all, rows_of
from skypanel.apps.set_env import EnvChange, delete_variable, set_variables
from skypanel.apps.snapshots import read_snapshot, restore_snapshot, snapshot

__all__ = [
    "EnvChange",
    "delete_variable",
    "read_all",
    "read_snapshot",
    "restore_snapshot",
    "rows_of",
    "set_variables",
    "snapshot",
]
