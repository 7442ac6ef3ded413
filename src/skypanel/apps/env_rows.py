"""Variables as they are stored, and all of them in clear for those who run them."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.apps.models import EnvVar
from skypanel.apps.vault import Encrypts
from skypanel.db import Session


def rows_of(session: Session, app_id: str) -> list[EnvVar]:
    """By name, values encrypted."""
    return list(session.scalars(sa.select(EnvVar).where(EnvVar.app_id == app_id).order_by(EnvVar.name)))


def read_all(session: Session, vault: Encrypts, app_id: str) -> dict[str, str]:
    """Name to value, for a build or a snapshot; never for an answer. Raises Undecryptable."""
    return {row.name: vault.decrypt(row.value).decode() for row in rows_of(session, app_id)}
