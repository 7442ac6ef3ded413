"""Old jobs go, with their steps and attempts."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.jobs.models import JOBS


def prune(session: Session, *, older_than: datetime, limit: int = 1000) -> int:
    """Deletes up to `limit` jobs that ended (done, failed or cancelled) before `older_than`; how many there were.

    A batch is short, so that writers do not wait long: call again, in another transaction, while it returns `limit`.
    Steps and attempts go by the foreign keys' cascade.
    """
    old = sa.select(JOBS.c.seq).where(JOBS.c.finished_at.is_not(None), JOBS.c.finished_at < older_than)
    batch = old.order_by(JOBS.c.finished_at).limit(limit)
    return len(session.execute(sa.delete(JOBS).where(JOBS.c.seq.in_(batch)).returning(JOBS.c.seq)).all())
