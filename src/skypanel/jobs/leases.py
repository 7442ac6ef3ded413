"""Who owns a job: claiming, keeping, handing over and finishing, each one statement or two of one transaction.

Every lease is a time of the database's clock plus a fence. Whoever changes a job names the fence it holds; when
another worker has taken the job meanwhile, nothing matches and `Lost` is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.jobs.errors import Lost
from skypanel.jobs.models import ATTEMPTS, JOBS, QUEUED, RUNNING, STEPS, EpochNow, JobState
from skypanel.jobs.wakers import announce

DIED = "the worker died in the last attempt"
OVER: sa.ColumnElement[float] = sa.literal_column("0.0", sa.Double())  # a lease that ended long ago


@dataclass(frozen=True)
class Claimed:
    """A job as its owner knows it. `steps`: JSON text of each recorded step."""

    id: str
    kind: str
    queue: str
    key: str | None
    args: dict[str, Any]
    fence: int
    attempt: int
    max_attempts: int
    cancel: bool
    failing: bool
    error: str | None
    steps: dict[str, str]


@dataclass(frozen=True)
class Owner:
    """A worker. `incarnation` differs between two starts of a worker of the same name."""

    worker: str
    incarnation: str
    lease_s: float


@dataclass(frozen=True)
class Outlook:
    """`now`: the database's clock. `due`: something may be claimable. `next_in_s`: when to look again, if known."""

    now: float
    due: bool
    next_in_s: float | None


def look(session: Session, *, queues: Sequence[str], kinds: Sequence[str], held: Collection[str]) -> Outlook:
    """One read-only statement: is there anything to claim, and if not, when?"""
    mine = sa.and_(JOBS.c.queue.in_(queues), JOBS.c.kind.in_(kinds))
    run_at: sa.ColumnElement[float] = sa.type_coerce(JOBS.c.run_at, sa.Double())
    lease_until: sa.ColumnElement[float] = sa.type_coerce(JOBS.c.lease_until, sa.Double())
    waiting = sa.and_(mine, JOBS.c.state == QUEUED)
    ready = sa.exists().where(waiting, sa.or_(run_at.is_(None), run_at <= EpochNow()))
    next_run = sa.select(sa.func.min(run_at)).where(waiting, run_at > EpochNow())
    next_lease = sa.select(sa.func.min(lease_until)).where(mine, JOBS.c.state == RUNNING, JOBS.c.id.not_in(held))
    row = session.execute(sa.select(EpochNow(), ready, next_run.scalar_subquery(), next_lease.scalar_subquery())).one()
    now = float(row[0])
    moments = [float(moment) for moment in row[2:] if moment is not None]
    next_in_s = min(moments) - now if moments else None
    return Outlook(now=now, due=bool(row[1]) or (row[3] is not None and row[3] <= now), next_in_s=next_in_s)


def claim(
    session: Session, *, owner: Owner, queues: Sequence[str], kinds: Sequence[str], held: Collection[str]
) -> Claimed | None:
    """The next job of `queues`, now owned by `owner`: expired leases first, then by priority and arrival.

    `held`: ids this process runs already. Raises IntegrityError when another worker took the job's key in between.
    """
    job_id = _expired(session, queues=queues, kinds=kinds, held=held) or _ready(session, queues=queues, kinds=kinds)
    if job_id is None:
        return None
    used_up = JOBS.c.tries >= JOBS.c.max_attempts  # only met when a worker died: else the failure was decided then
    spent = sa.or_(JOBS.c.failing, used_up)
    died = sa.and_(used_up, sa.not_(JOBS.c.failing))
    statement = (
        sa.update(JOBS)
        .where(JOBS.c.id == job_id)
        .values(
            state=JobState.RUNNING.value,
            worker=owner.worker,
            incarnation=owner.incarnation,
            lease_until=EpochNow() + owner.lease_s,
            started_at=sa.func.coalesce(JOBS.c.started_at, EpochNow()),
            fence=JOBS.c.fence + 1,
            tries=sa.case((spent, JOBS.c.tries), else_=JOBS.c.tries + 1),
            failing=spent,
            error=sa.case((died, DIED), else_=JOBS.c.error),
        )
        .returning(JOBS)
    )
    row = session.execute(statement).one()
    _end_attempt(session, job_id=row.id, fence=None, outcome="lost", error="the worker died or was cut off")
    session.execute(
        sa.insert(ATTEMPTS).values(
            job_id=row.id, fence=row.fence, number=row.tries, worker=owner.worker, started_at=EpochNow()
        )
    )
    steps = session.execute(sa.select(STEPS.c.name, STEPS.c.result).where(STEPS.c.job_id == row.id)).all()
    return Claimed(
        id=row.id,
        kind=row.kind,
        queue=row.queue,
        key=row.key,
        args=row.args,
        fence=row.fence,
        attempt=row.tries,
        max_attempts=row.max_attempts,
        cancel=row.cancel,
        failing=row.failing,
        error=row.error,
        steps={row.name: row.result for row in steps},
    )


def _lock(session: Session, statement: sa.Select[str]) -> str | None:
    if session.get_bind().dialect.name == "postgresql":
        statement = statement.with_for_update(skip_locked=True, of=JOBS)
    return session.execute(statement.limit(1)).scalar()


def _expired(session: Session, *, queues: Sequence[str], kinds: Sequence[str], held: Collection[str]) -> str | None:
    conditions = (JOBS.c.state == RUNNING, JOBS.c.lease_until < EpochNow(), JOBS.c.id.not_in(held))
    mine = sa.and_(JOBS.c.queue.in_(queues), JOBS.c.kind.in_(kinds))
    return _lock(session, sa.select(JOBS.c.id).where(*conditions, mine).order_by(JOBS.c.seq))


def _ready(session: Session, *, queues: Sequence[str], kinds: Sequence[str]) -> str | None:
    other = JOBS.alias()
    earlier = sa.or_(
        other.c.priority < JOBS.c.priority, sa.and_(other.c.priority == JOBS.c.priority, other.c.seq < JOBS.c.seq)
    )
    # Not "the first that is not locked": a locked head would let a younger job of its key slip past.
    in_line = sa.or_(other.c.fence > 0, other.c.run_at.is_(None), other.c.run_at <= EpochNow())
    ahead = sa.or_(other.c.state == RUNNING, sa.and_(other.c.state == QUEUED, earlier, in_line))
    free = sa.or_(JOBS.c.key.is_(None), ~sa.exists().where(other.c.key == JOBS.c.key, other.c.id != JOBS.c.id, ahead))
    due = sa.or_(JOBS.c.run_at.is_(None), JOBS.c.run_at <= EpochNow())
    mine = sa.and_(JOBS.c.queue.in_(queues), JOBS.c.kind.in_(kinds))
    query = sa.select(JOBS.c.id).where(JOBS.c.state == QUEUED, mine, due, free)
    return _lock(session, query.order_by(JOBS.c.priority, JOBS.c.seq))


def own(session: Session, *, job: Claimed, owner: Owner, failing: str | None = None) -> bool:
    """Renews the lease; True when a cancel was asked for. `failing`: also decides the failure. Raises Lost."""
    values: dict[str, Any] = {"lease_until": EpochNow() + owner.lease_s}
    if failing is not None:
        values |= {"failing": True, "error": failing}
    return bool(_change(session, job=job, values=values))


def renew(session: Session, *, jobs: Sequence[Claimed], owner: Owner) -> dict[str, bool]:
    """Renews many leases at once: `{job id: cancel asked for}` of those that are still ours."""
    ours = sa.or_(*(sa.and_(JOBS.c.id == job.id, JOBS.c.fence == job.fence) for job in jobs))
    statement = sa.update(JOBS).where(JOBS.c.state == RUNNING, ours).values(lease_until=EpochNow() + owner.lease_s)
    return {row.id: row.cancel for row in session.execute(statement.returning(JOBS.c.id, JOBS.c.cancel))}


def peek(session: Session, *, job: Claimed) -> bool:
    """True when a cancel was asked for; writes nothing. Raises Lost."""
    row = session.execute(sa.select(JOBS.c.cancel).where(_held(job))).first()
    if row is None:
        raise Lost(job.id)
    return bool(row.cancel)


def finish(
    session: Session, *, job: Claimed, state: JobState, result: str | None = None, error: str | None = None
) -> None:
    """Ends the job for good; `result` is JSON text. Raises Lost."""
    values: dict[str, Any] = {"state": state.value, "finished_at": EpochNow(), "lease_until": None}
    if state is JobState.DONE:
        values |= {"result": result, "error": None}
    elif error is not None:
        values["error"] = error
    _change(session, job=job, values=values)
    _end_attempt(session, job_id=job.id, fence=job.fence, outcome=state.value, error=error)
    if job.key is not None:
        announce(session, "job")  # the next one of its key may run, perhaps on another machine


def retry(session: Session, *, job: Claimed, delay_s: float, error: str) -> None:
    """Back into the queue, keeping its place in the line of its key. Raises Lost."""
    # A younger job may have taken the dedup name while this one ran; one that has started no longer stands for it.
    values = {
        "state": JobState.QUEUED.value,
        "run_at": EpochNow() + delay_s,
        "lease_until": None,
        "dedup": None,
        "error": error,
    }
    _change(session, job=job, values=values)
    _end_attempt(session, job_id=job.id, fence=job.fence, outcome="retried", error=error)


def release(session: Session, *, job: Claimed) -> None:
    """Hands the running job over: any worker may take it at once. The attempt does not count. Raises Lost."""
    tries = sa.case((JOBS.c.failing, JOBS.c.tries), else_=JOBS.c.tries - 1)
    _change(session, job=job, values={"lease_until": OVER, "fence": JOBS.c.fence + 1, "tries": tries})
    _end_attempt(session, job_id=job.id, fence=job.fence, outcome="released", error=None)
    announce(session, "job")


def reclaim(session: Session, *, owner: Owner) -> int:
    """Ends the leases that earlier starts of this worker left behind; how many there were."""
    left = sa.and_(JOBS.c.state == RUNNING, JOBS.c.worker == owner.worker, JOBS.c.incarnation != owner.incarnation)
    statement = sa.update(JOBS).where(left).values(lease_until=OVER, fence=JOBS.c.fence + 1)
    return len(session.execute(statement.returning(JOBS.c.id)).all())


def _held(job: Claimed) -> sa.ColumnElement[bool]:
    return sa.and_(JOBS.c.id == job.id, JOBS.c.fence == job.fence, JOBS.c.state == RUNNING)


def _change(session: Session, *, job: Claimed, values: dict[str, Any]) -> bool:
    row = session.execute(sa.update(JOBS).where(_held(job)).values(**values).returning(JOBS.c.cancel)).first()
    if row is None:
        raise Lost(job.id)
    return bool(row.cancel)


def _end_attempt(session: Session, *, job_id: str, fence: int | None, outcome: str, error: str | None) -> None:
    open_ones = [ATTEMPTS.c.job_id == job_id, ATTEMPTS.c.finished_at.is_(None)]
    if fence is not None:
        open_ones.append(ATTEMPTS.c.fence == fence)
    session.execute(sa.update(ATTEMPTS).where(*open_ones).values(finished_at=EpochNow(), outcome=outcome, error=error))
