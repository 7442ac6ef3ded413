"""Requests on what runs: scale, restart, stop, one-off command, delete. None of them makes a new version."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import Actor, record
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.apps.recheck import recheck
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.ask_release import app_key
from skypanel.deployments.cancel_run import end_runs
from skypanel.deployments.models import IN_PROGRESS, Deployment, DeploymentStatus, Run
from skypanel.deployments.plan import NOT_STARTED
from skypanel.errors import Conflict, FieldError, Invalid
from skypanel.jobs import enqueue
from skypanel.jobs import request_cancel as cancel_job
from skypanel.kit.ids import new_id


def operation(session: Session, kind: str, app: App, **args: object) -> str:
    """Its job, in turn behind what was asked for before."""
    job_id = enqueue(session, kind=kind, queue="deploys", key=app_key(app.id), args={"app_id": app.id, **args})
    assert job_id is not None, "operations are not deduplicated"
    return job_id


def ask_to_mend(session: Session, app_id: str) -> None:
    """One queued mend per app is enough."""
    enqueue(
        session, kind="app.mend", queue="mends", key=app_key(app_id), dedup=f"mend:{app_id}", args={"app_id": app_id}
    )


def _note(session: Session, app: App, by: Actor, verb: str, message: str, now: datetime, **detail: object) -> None:
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb=verb,
        on=("app", app.id, app.slug),
        message=message,
        now=now,
        detail=detail,
    )


def _release(session: Session, app: App) -> Slug:
    if app.current_deployment_id is None:
        raise Conflict(f"{app.slug} has no release yet. Deploy it first.", code="no_release")
    deployment = session.get_one(Deployment, app.current_deployment_id)
    return session.get_one(Slug, deployment.slug_id)


def _declared(session: Session, app: App) -> dict[str, str]:
    """Process types of the current release and of the newest build: one that failed because a type of it is no
    service can be scaled to 0 before the next try."""
    newest = session.scalars(
        sa.select(Slug)
        .join(Deployment, Deployment.slug_id == Slug.id)
        .where(Deployment.app_id == app.id)
        .order_by(Deployment.version.desc())
        .limit(1)
    ).first()
    current = _release(session, app).process_types if app.current_deployment_id or newest is None else {}
    return {**current, **(newest.process_types if newest else {})}


def request_scale(
    session: Session, *, app: App, replicas: int, by: Actor, now: datetime, process_type: str = "web"
) -> str:
    """Raises Invalid `replicas_above_plan`, `unknown_process_type`; Conflict `app_suspended`, `no_release`."""
    if app.wanted == Wanted.SUSPENDED:
        raise Conflict(f"{app.slug} is suspended; resume it before scaling.", code="app_suspended")
    if not 0 <= replicas <= app.max_replicas:
        raise Invalid(
            f"The plan {app.plan_slug} allows 0 to {app.max_replicas} replicas; choose a larger plan for more.",
            code="replicas_above_plan",
            errors=[FieldError("replicas", f"0 to {app.max_replicas}")],
        )
    types = _declared(session, app)
    if process_type not in types or process_type in NOT_STARTED:
        known = ", ".join(sorted(name for name in types if name not in NOT_STARTED))
        raise Invalid(
            f"The Procfile has no process type {process_type!r}; it has {known}.", code="unknown_process_type"
        )
    before = app.formation.get(process_type, 1)
    app.formation = {**app.formation, process_type: replicas}
    _note(
        session,
        app,
        by,
        "app.scaled",
        f"scaled {process_type} of {app.slug} from {before} to {replicas}",
        now,
        process_type=process_type,
        before=before,
        after=replicas,
    )
    return operation(session, "app.scale", app, process_type=process_type, before=before, replicas=replicas)


def request_restart(session: Session, *, app: App, by: Actor, now: datetime) -> str:
    """Rolls the replicas, or starts a stopped app again from its last good slug. Raises Conflict."""
    if app.wanted == Wanted.SUSPENDED:
        raise Conflict(
            f"{app.slug} is suspended. Refill the wallet or ask an admin to resume it.", code="app_suspended"
        )
    _release(session, app)
    app.wanted = Wanted.RUNNING
    _note(session, app, by, "app.restarted", f"restarted {app.slug}", now)
    return operation(session, "app.restart", app)


def request_stop(session: Session, *, app: App, by: Actor, now: datetime) -> str:
    """Scales to zero and keeps everything else. Raises Conflict `no_release`."""
    _release(session, app)
    app.wanted = Wanted.STOPPED
    _note(session, app, by, "app.stopped", f"stopped {app.slug}", now)
    return operation(session, "app.stop", app)


def request_run(session: Session, *, app: App, command: str, by: Actor, now: datetime) -> Run:
    """A one-off command in a fresh container of the current release. Raises Conflict, Invalid."""
    if not command.strip() or "\0" in command or len(command) > 10_000:
        raise Invalid("Give a command of 1 to 10,000 characters.", code="invalid_command")
    if app.wanted == Wanted.SUSPENDED:
        raise Conflict(f"{app.slug} is suspended; resume it first.", code="app_suspended")
    _release(session, app)
    assert app.current_deployment_id is not None
    run = Run(
        id=new_id(),
        app_id=app.id,
        deployment_id=app.current_deployment_id,
        command=command,
        requested_by=by.name,
        status="queued",
        created_at=now,
    )
    session.add(run)
    session.flush()
    run.job_id = enqueue(session, kind="app.run", queue="runs", args={"run_id": run.id}, max_attempts=3)
    _note(session, app, by, "app.run", f"ran a one-off command on {app.slug}", now, run_id=run.id)
    return run


def request_delete(session: Session, *, app: App, by: Actor, now: datetime) -> str:
    """Gone for its owner at once; its name is free again when everything of it has been removed."""
    app.deleted_at = now
    app.wanted = Wanted.STOPPED
    app.status = AppStatus.STOPPED
    active = sa.select(Deployment).where(Deployment.app_id == app.id, Deployment.status.in_(IN_PROGRESS))
    for deployment in session.scalars(active.with_for_update()):
        if deployment.job_id is not None:
            cancel_job(session, deployment.job_id)
        if deployment.status == DeploymentStatus.QUEUED:
            deployment.status, deployment.finished_at = DeploymentStatus.CANCELLED, now
            deployment.reason, deployment.reason_code = "The app was deleted.", "app_deleted"
    end_runs(session, Run.app_id == app.id, now=now, reason="The app was deleted.")
    recheck(session, app.id, since=now)
    _note(session, app, by, "app.deleted", f"deleted {app.slug}", now)
    return operation(session, "app.delete", app)
