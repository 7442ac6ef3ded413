"""Work whose job has ended without it: asked for again, so that no fault of ours leaves a state that is not true."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.ask_release import app_key
from skypanel.deployments.drain import ask_to_drain
from skypanel.deployments.models import IN_PROGRESS, Deployment, Replica, ReplicaState
from skypanel.jobs import Job, JobState, enqueue

OVERDUE = timedelta(minutes=15)  # no drain takes so long beyond its time
AT_WORK = (JobState.QUEUED, JobState.RUNNING)


def revive(session: Session, *, now: datetime) -> int:
    """How much there was to revive."""
    return _deployments(session) + _drains(session, now) + _deletions(session)


def _deployments(session: Session) -> int:
    """They fail now, and truthfully: what they had begun is undone by the same recipe."""
    at_work = sa.exists().where(Job.id == Deployment.job_id, Job.state.in_(AT_WORK))
    lost = list(session.scalars(sa.select(Deployment).where(Deployment.status.in_(IN_PROGRESS), ~at_work)))
    for deployment in lost:
        if deployment.reason_code is None:
            deployment.reason_code = "interrupted"
            deployment.reason = "The platform lost track of this deployment; try again."
        deployment.job_id = enqueue(
            session,
            kind="deploy",
            queue="deploys",
            key=app_key(deployment.app_id),
            args={"deployment_id": deployment.id},
        )
    return len(lost)


def _drains(session: Session, now: datetime) -> int:
    overdue = sa.select(Replica.id).where(
        Replica.state == ReplicaState.DRAINING, Replica.drain_until < now - OVERDUE, ~_job("replica:", Replica.id)
    )
    lost = list(session.scalars(overdue))
    for replica_id in lost:
        ask_to_drain(session, replica_id)
    return len(lost)


def _deletions(session: Session) -> int:
    half = sa.select(App.id).where(
        App.deleted_at.is_not(None), App.slug.not_like("deleted/%"), ~_job("app:", App.id, kind="app.delete")
    )
    lost = list(session.scalars(half))
    for app_id in lost:
        enqueue(session, kind="app.delete", queue="deploys", key=app_key(app_id), args={"app_id": app_id})
    return len(lost)


def _job(prefix: str, name: InstrumentedAttribute[str], *, kind: str | None = None) -> sa.ColumnElement[bool]:
    """Whether a job of this key waits or runs."""
    there = sa.exists().where(Job.key == sa.literal(prefix) + name, Job.state.in_(AT_WORK))
    return there if kind is None else there.where(Job.kind == kind)
