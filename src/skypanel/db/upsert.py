"""An insert that may meet a row that is there already: both databases have it, each in a construct of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from skypanel.db.session import Session


def upsert(session: Session, table: type[Any] | sa.TableClause) -> postgresql.Insert | sqlite.Insert:
    """In the words of the session's database; `on_conflict_do_nothing` or `on_conflict_do_update` says what happens
    then. `table` may be a model."""
    return postgresql.insert(table) if session.get_bind().dialect.name == "postgresql" else sqlite.insert(table)
