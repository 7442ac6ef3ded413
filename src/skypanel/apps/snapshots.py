"""All variables as one release got them: taken at deploy time, read again by its replicas, restored by a rollback."""

from __future__ import annotations

from datetime import datetime

import orjson

from skypanel.apps.env_rows import read_all
from skypanel.apps.models import App, EnvSnapshot
from skypanel.apps.set_env import EnvChange, replace_variables
from skypanel.apps.vault import Encrypts
from skypanel.db import Session
from skypanel.errors import NotFound


def snapshot(session: Session, *, app: App, vault: Encrypts, now: datetime) -> EnvSnapshot:
    """Keeps today's variables, encrypted as one JSON object. Raises Undecryptable."""
    variables = read_all(session, vault, app.id)
    row = EnvSnapshot(
        app_id=app.id, content=vault.encrypt(orjson.dumps(variables)), names=sorted(variables), created_at=now
    )
    session.add(row)
    session.flush()
    return row


def read_snapshot(session: Session, vault: Encrypts, snapshot_id: str) -> dict[str, str]:
    """Name to value. Raises NotFound (`env_snapshot_not_found`) and Undecryptable."""
    row = session.get(EnvSnapshot, snapshot_id)
    if row is None:
        raise NotFound("The variables of that release are no longer kept.", code="env_snapshot_not_found")
    variables: dict[str, str] = orjson.loads(vault.decrypt(row.content))
    return variables


def restore_snapshot(session: Session, *, app: App, vault: Encrypts, snapshot_id: str, now: datetime) -> EnvChange:
    """Makes the application's variables those of the snapshot, which must be its own; the caller tells the activity
    feed. Raises as `read_snapshot`."""
    row = session.get(EnvSnapshot, snapshot_id)
    if row is None or row.app_id != app.id:
        raise NotFound("The variables of that release are no longer kept.", code="env_snapshot_not_found")
    variables = read_snapshot(session, vault, snapshot_id)
    return replace_variables(session, app=app, variables=variables, vault=vault, now=now)
