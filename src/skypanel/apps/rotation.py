"""Key rotation: everything encrypted is written again under the newest key, in batches."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.apps.models import EnvSnapshot, EnvVar
from skypanel.apps.vault import Vault
from skypanel.db import Session


def rotate_keys(session: Session, vault: Vault, *, batch: int = 500) -> int:
    """Re-encrypts all variables and snapshots and returns how many. Memory stays that of one batch.

    Safe to run twice. Raises Undecryptable at the first value no key opens: then nothing of this transaction is kept,
    and the old key has to stay in the key file until that value is set again.
    """
    return _rotate_variables(session, vault, batch) + _rotate_snapshots(session, vault, batch)


def _rotate_variables(session: Session, vault: Vault, batch: int) -> int:
    done, last = 0, ("", "")
    place = sa.tuple_(EnvVar.app_id, EnvVar.name)
    while True:
        query = sa.select(EnvVar).where(place > last).order_by(EnvVar.app_id, EnvVar.name).limit(batch)
        rows = list(session.scalars(query.with_for_update()))
        if not rows:
            return done
        for row in rows:
            row.value = vault.rotate(row.value)
        session.flush()
        last = (rows[-1].app_id, rows[-1].name)
        done += len(rows)
        for row in rows:
            session.expunge(row)


def _rotate_snapshots(session: Session, vault: Vault, batch: int) -> int:
    done, last = 0, ""
    while True:
        query = sa.select(EnvSnapshot).where(EnvSnapshot.id > last).order_by(EnvSnapshot.id).limit(batch)
        rows = list(session.scalars(query.with_for_update()))
        if not rows:
            return done
        for row in rows:
            row.content = vault.rotate(row.content)
        session.flush()
        last = rows[-1].id
        done += len(rows)
        for row in rows:
            session.expunge(row)
