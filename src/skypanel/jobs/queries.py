"""Looking at jobs. The viewer is checked above: a job carries no organization, only the ids in its key and args."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.errors import Invalid, NotFound
from skypanel.jobs.models import Job, JobAttempt, JobState, JobStep
from skypanel.kit.paging import MAX_LIMIT, Page, decode_cursor, encode_cursor


def get_job(session: Session, job_id: str) -> Job:
    """Raises NotFound."""
    query = sa.select(Job).where(Job.id == job_id).execution_options(populate_existing=True)
    job = session.execute(query).scalar_one_or_none()
    if job is None:
        raise NotFound("No such job.", code="job_not_found")
    return job


def list_jobs(
    session: Session,
    *,
    key: str | None = None,
    state: JobState | str | None = None,
    kind: str | None = None,
    queue: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Job]:
    """Newest first. Raises Invalid for a cursor that is none of ours."""
    limit = max(1, min(limit, MAX_LIMIT))
    query = sa.select(Job).order_by(Job.seq.desc()).limit(limit + 1).execution_options(populate_existing=True)
    for column, wanted in ((Job.key, key), (Job.state, state), (Job.kind, kind), (Job.queue, queue)):
        if wanted is not None:
            query = query.where(column == str(wanted))
    if cursor is not None:
        query = query.where(Job.seq < _position(cursor))
    jobs = session.execute(query).scalars().all()
    more = len(jobs) > limit
    return Page(items=jobs[:limit], next_cursor=encode_cursor(jobs[limit - 1].seq) if more else None)


def steps_of(session: Session, job_id: str) -> Sequence[JobStep]:
    """In the order they were recorded."""
    query = sa.select(JobStep).where(JobStep.job_id == job_id).order_by(JobStep.recorded_at, JobStep.name)
    return session.execute(query).scalars().all()


def attempts_of(session: Session, job_id: str) -> Sequence[JobAttempt]:
    """Oldest first."""
    query = sa.select(JobAttempt).where(JobAttempt.job_id == job_id).order_by(JobAttempt.fence)
    return session.execute(query.execution_options(populate_existing=True)).scalars().all()


def count_jobs(session: Session) -> dict[tuple[str, str], int]:
    """`{(queue, state): number}` of the jobs that wait or run."""
    alive = Job.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
    query = sa.select(Job.queue, Job.state, sa.func.count()).where(alive).group_by(Job.queue, Job.state)
    return {(queue, state): number for queue, state, number in session.execute(query)}


def _position(cursor: str) -> int:
    try:
        (seq,) = decode_cursor(cursor, size=1)
    except ValueError as error:
        raise Invalid(f"{error}.", code="invalid_cursor") from error
    if not isinstance(seq, int):
        raise Invalid("the cursor is none of ours.", code="invalid_cursor")
    return seq
