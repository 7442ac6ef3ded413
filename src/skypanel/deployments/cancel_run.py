"""Cancelling one-off commands."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import Actor, record
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Run
from skypanel.errors import Conflict
from skypanel.jobs import request_cancel as cancel_job

RESTS = "The organization is suspended."


def end_runs(session: Session, which: sa.ColumnElement[bool], *, now: datetime, reason: str) -> None:
    """Ends those of them that have not ended, as soon as their containers have stopped. Queued ones never start."""
    query = sa.select(Run).where(which, Run.status.in_(("queued", "running")))
    for run in session.scalars(query.order_by(Run.id).with_for_update()):
        if run.job_id is not None:
            cancel_job(session, run.job_id)
        if run.status == "queued":
            run.status, run.finished_at = "cancelled", now
        run.reason = reason


def request_cancel_run(session: Session, *, app: App, run: Run, by: Actor, now: datetime) -> None:
    """Ends it as soon as its container has stopped; a queued one never starts. Raises Conflict `not_cancellable`."""
    session.refresh(run, with_for_update=True)
    if run.status not in ("queued", "running"):
        raise Conflict(f"The command has {run.status} already.", code="not_cancellable")
    if run.job_id is not None:
        cancel_job(session, run.job_id)
    if run.status == "queued":
        run.status, run.finished_at, run.reason = "cancelled", now, f"Cancelled by {by.name}."
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb="app.run_cancelled",
        on=("app", app.id, app.slug),
        message=f"cancelled a one-off command on {app.slug}",
        now=now,
        detail={"run_id": run.id},
    )
