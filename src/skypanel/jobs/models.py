"""Tables of the job engine. Moments are seconds since 1970 by the database's clock, so that SQL can compare them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from skypanel.db import Base
from skypanel.db.base import Moment


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EpochNow(FunctionElement[float]):
    """The database's clock at this statement, in seconds since 1970."""

    type = sa.Double()
    inherit_cache = True


@compiles(EpochNow, "sqlite")
def _sqlite_now(_element: EpochNow, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(EpochNow, "postgresql")
def _postgresql_now(_element: EpochNow, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"


# Literals, not bound values: only with them can the planners of both databases prove that a partial index applies.
QUEUED: sa.ColumnElement[str] = sa.literal_column("'queued'", sa.String())
RUNNING: sa.ColumnElement[str] = sa.literal_column("'running'", sa.String())


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = sa.text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class Leader(Base):
    """Who does, of several workers, what only one may do."""

    __tablename__ = "leaders"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(120))
    until: Mapped[datetime] = mapped_column(Moment)


class Job(Base):
    __tablename__ = "jobs"

    # The order of arrival. A counter of the database and not a time: clocks step back, and this must not.
    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(80))
    queue: Mapped[str] = mapped_column(String(80))
    key: Mapped[str | None] = mapped_column(String(120))
    dedup: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    priority: Mapped[int]
    args: Mapped[dict[str, Any]]
    result: Mapped[str | None] = mapped_column(Text)  # JSON text of what the handler returned
    error: Mapped[str | None] = mapped_column(Text)  # of the last attempt that failed
    run_at: Mapped[datetime | None] = mapped_column(Moment)  # None: at once
    created_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)  # of the first attempt
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    tries: Mapped[int]  # attempts that count; a graceful hand-over gives its one back
    max_attempts: Mapped[int]
    fence: Mapped[int]  # grows with every change of owner; whoever holds an older one has lost the job
    cancel: Mapped[bool]
    failing: Mapped[bool]  # the failure is decided; what is left is `on_failure`
    worker: Mapped[str | None] = mapped_column(String(120))
    incarnation: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        _partial("ix_jobs_ready", "queue", "priority", "seq", where="state = 'queued'"),
        _partial("ix_jobs_lease", "lease_until", where="state = 'running'"),
        _partial("uq_jobs_key_running", "key", where="state = 'running'", unique=True),
        _partial("uq_jobs_dedup_queued", "queue", "dedup", where="state = 'queued'", unique=True),
        _partial("ix_jobs_finished_at", "finished_at", where="finished_at IS NOT NULL"),
        Index("ix_jobs_key_state", "key", "state"),
        {"sqlite_autoincrement": True},  # a number is never given twice, even after the newest rows were pruned
    )


class JobStep(Base):
    """A finished step: a job that is taken over does not run it again."""

    __tablename__ = "job_steps"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    result: Mapped[str] = mapped_column(Text)  # JSON text
    recorded_at: Mapped[datetime] = mapped_column(Moment)


class JobAttempt(Base):
    """One time that a worker held the job."""

    __tablename__ = "job_attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]  # 1 for the first try
    worker: Mapped[str] = mapped_column(String(120))
    started_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str | None] = mapped_column(String(20))  # done, failed, retried, cancelled, lost, released
    error: Mapped[str | None] = mapped_column(Text)


class JobTick(Base):
    """The last tick of a schedule that some worker has taken."""

    __tablename__ = "job_ticks"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    tick: Mapped[datetime] = mapped_column(Moment)


JOBS = cast(sa.Table, Job.__table__)
STEPS = cast(sa.Table, JobStep.__table__)
ATTEMPTS = cast(sa.Table, JobAttempt.__table__)
TICKS = cast(sa.Table, JobTick.__table__)
