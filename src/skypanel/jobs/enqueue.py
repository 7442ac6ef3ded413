"""Asking for work, and asking for its end, inside the transaction of the change that wants it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.db.upsert import upsert
from skypanel.jobs.models import JOBS, QUEUED, RUNNING, EpochNow, JobState
from skypanel.jobs.wakers import announce
from skypanel.kit.ids import new_id


def enqueue(
    session: Session,
    *,
    kind: str,
    args: dict[str, Any],
    queue: str = "default",
    key: str | None = None,
    dedup: str | None = None,
    delay_s: float = 0,
    priority: int = 0,
    max_attempts: int = 5,
    job_id: str | None = None,
) -> str | None:
    """The new job's id; None when one with this `dedup` already waits in `queue`, or `job_id` exists.

    `args`: JSON values, given to the handler by name; ids, never secrets. `key`: jobs of one key run one at a time, in
    the order of `priority` (smaller first), then arrival; a job that waits for its next attempt keeps its place, one
    whose first `delay_s` is not over does not hold up others. `max_attempts=1`: never started twice.
    """
    statement = (
        upsert(session, JOBS)
        .values(
            id=job_id or new_id(),
            kind=kind,
            queue=queue,
            key=key,
            dedup=dedup,
            state=JobState.QUEUED.value,
            priority=priority,
            args=args,
            run_at=EpochNow() + delay_s if delay_s > 0 else None,
            created_at=EpochNow(),
            tries=0,
            max_attempts=max_attempts,
            fence=0,
            cancel=False,
            failing=False,
        )
        .on_conflict_do_nothing()
        .returning(JOBS.c.id)  # the drivers' row counts do not tell a duplicate from a new row
    )
    made: str | None = session.execute(statement).scalar()
    if made is not None:
        announce(session, "job")
    return made


def request_cancel(session: Session, job_id: str) -> bool:
    """True: the job had never started and is cancelled now; its handler will not run, the caller sets final states.

    False: it runs (or waits for another attempt), and its handler gets `Cancelled` at its next step and cleans up,
    holding the key meanwhile; or it was over already, or is unknown.
    """
    never_started = sa.and_(JOBS.c.id == job_id, JOBS.c.state == QUEUED, JOBS.c.fence == 0)
    statement = sa.update(JOBS).where(never_started).values(state=JobState.CANCELLED.value, finished_at=EpochNow())
    if session.execute(statement.returning(JOBS.c.id)).first() is not None:
        announce(session, "job")  # the next one of its key may run
        return True
    alive = sa.and_(JOBS.c.id == job_id, sa.or_(JOBS.c.state == RUNNING, JOBS.c.state == QUEUED))
    at_once = sa.case((JOBS.c.state == QUEUED, sa.null()), else_=JOBS.c.run_at)
    flagged = sa.update(JOBS).where(alive).values(cancel=True, run_at=at_once).returning(JOBS.c.id)
    if session.execute(flagged).first() is not None:
        announce(session, f"cancel {job_id}")
    return False


def cancel_asked(session: Session, job_id: str) -> bool:
    """Whether somebody asked for this job's end while it ran or waited for another attempt."""
    return bool(session.execute(sa.select(JOBS.c.cancel).where(JOBS.c.id == job_id)).scalar())
