"""Requests that make a new version: deploy, rollback, environment change; and cancelling one."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import Actor, record
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import IN_PROGRESS, Deployment, DeploymentStatus, Kind
from skypanel.deployments.queries import get_deployment
from skypanel.errors import Conflict
from skypanel.jobs import enqueue
from skypanel.jobs import request_cancel as cancel_job
from skypanel.kit.ids import new_id

# A newer request supersedes only queued ones whose effect it contains: an environment change would lose the code of
# a queued deploy, a deploy takes today's environment anyway.
SUPERSEDES: dict[str, tuple[str, ...]] = {
    Kind.DEPLOY: (Kind.DEPLOY, Kind.ENV, Kind.ROLLBACK),
    Kind.ROLLBACK: (Kind.DEPLOY, Kind.ENV, Kind.ROLLBACK),
    Kind.ENV: (Kind.ENV,),
}


def app_key(app_id: str) -> str:
    """The job key under which everything that happens to an app is done one after the other."""
    return f"app:{app_id}"


def _new_deployment(session: Session, *, app: App, kind: Kind, by: Actor, now: datetime, cause: str) -> Deployment:
    version = (
        session.execute(
            sa.update(App).where(App.id == app.id).values(next_version=App.next_version + 1).returning(App.next_version)
        ).scalar_one()
        - 1
    )
    app.next_version = version + 1
    _supersede_queued(session, app=app, kind=kind, version=version, now=now)
    deployment = Deployment(
        id=new_id(),
        app_id=app.id,
        organization_id=app.organization_id,
        version=version,
        kind=kind,
        status=DeploymentStatus.QUEUED,
        branch=app.branch,
        cause=cause,
        requested_by=by.name,
        created_at=now,
    )
    session.add(deployment)
    session.flush()
    deployment.job_id = enqueue(
        session, kind="deploy", queue="deploys", key=app_key(app.id), args={"deployment_id": deployment.id}
    )
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb=f"deployment.{kind}",
        on=("app", app.id, app.slug),
        message=f"asked for version {version} of {app.slug} ({kind})",
        now=now,
        detail={"version": version, "cause": cause},
    )
    return deployment


def _supersede_queued(session: Session, *, app: App, kind: Kind, version: int, now: datetime) -> None:
    queued = sa.select(Deployment).where(
        Deployment.app_id == app.id, Deployment.status == DeploymentStatus.QUEUED, Deployment.kind.in_(SUPERSEDES[kind])
    )
    for older in session.scalars(queued.with_for_update()):
        older.status = DeploymentStatus.SUPERSEDED
        older.reason = f"Version {version} was asked for before this one had begun."
        older.reason_code = "superseded"
        older.finished_at = now
        if older.job_id is not None:
            cancel_job(session, older.job_id)


def _require_deployable(app: App) -> None:
    if app.wanted == Wanted.SUSPENDED:
        raise Conflict(
            f"{app.slug} is suspended. Refill the wallet or ask an admin to resume it.", code="app_suspended"
        )


def request_deploy(
    session: Session, *, app: App, by: Actor, now: datetime, cause: str = "api", commit: str | None = None
) -> Deployment:
    """A fresh build of the branch (or of `commit`). A stopped app runs again once the version serves, and stays
    stopped when it never does. Raises Conflict `app_suspended`."""
    _require_deployable(app)
    deployment = _new_deployment(session, app=app, kind=Kind.DEPLOY, by=by, now=now, cause=cause)
    deployment.commit = commit
    if app.current_deployment_id is None:
        app.status, app.status_reason = AppStatus.BUILDING, None
    return deployment


def request_rollback(
    session: Session, *, app: App, version: int, restore_env: bool, by: Actor, now: datetime
) -> Deployment:
    """The stored slug of `version` again, nothing built. Raises NotFound, Conflict `rollback_impossible`."""
    _require_deployable(app)
    target = get_deployment(session, app=app, version=version)
    slug = session.get(Slug, target.slug_id) if target.slug_id else None
    if slug is None or target.status not in (DeploymentStatus.SUPERSEDED, DeploymentStatus.RUNNING):
        raise Conflict(f"Version {version} never ran, so there is nothing to go back to.", code="rollback_impossible")
    if slug.removed_at is not None:
        raise Conflict(
            f"The slug of version {version} is no longer kept; deploy its commit again.", code="rollback_impossible"
        )
    deployment = _new_deployment(session, app=app, kind=Kind.ROLLBACK, by=by, now=now, cause="rollback")
    deployment.rolled_back_from = app.current_version
    deployment.source_version = version
    deployment.slug_id = target.slug_id
    deployment.branch = target.branch
    deployment.commit, deployment.commit_message = target.commit, target.commit_message
    deployment.commit_author = target.commit_author
    deployment.build_log_of = target.build_log_of or target.id
    deployment.restore_env = restore_env
    if restore_env:
        deployment.env_snapshot_id = target.env_snapshot_id
    return deployment


def request_env_deployment(session: Session, *, app: App, by: Actor, now: datetime) -> Deployment | None:
    """The current release with today's variables; None when nothing runs that could take them."""
    if app.current_deployment_id is None or app.wanted != Wanted.RUNNING:
        return None
    current = session.get_one(Deployment, app.current_deployment_id)
    deployment = _new_deployment(session, app=app, kind=Kind.ENV, by=by, now=now, cause="env change")
    deployment.slug_id = current.slug_id
    deployment.branch = current.branch
    deployment.commit, deployment.commit_message = current.commit, current.commit_message
    deployment.commit_author = current.commit_author
    deployment.build_log_of = current.build_log_of or current.id
    return deployment


def request_cancel(session: Session, *, deployment: Deployment, by: Actor, now: datetime) -> None:
    """Ends it as soon as its work has really stopped. Raises Conflict `not_cancellable` once traffic has moved or
    its end is decided."""
    session.refresh(deployment, with_for_update=True)
    if deployment.status in IN_PROGRESS and deployment.reason_code is not None:
        raise Conflict(
            f"Version {deployment.version} has ended ({deployment.reason_code}) and is being cleaned up.",
            code="not_cancellable",
        )
    if deployment.status not in IN_PROGRESS or deployment.stage in ("switch", "drain", "finish"):
        raise Conflict(
            f"Version {deployment.version} is {deployment.status}; only a queued or building one can be cancelled.",
            code="not_cancellable",
        )
    if deployment.job_id is not None:
        cancel_job(session, deployment.job_id)
    app = session.get_one(App, deployment.app_id)
    if deployment.status == DeploymentStatus.QUEUED:
        deployment.status, deployment.finished_at = DeploymentStatus.CANCELLED, now
        deployment.reason, deployment.reason_code = f"Cancelled by {by.name}.", "cancelled"
        others = sa.select(Deployment.id).where(
            Deployment.app_id == app.id, Deployment.status.in_(IN_PROGRESS), Deployment.id != deployment.id
        )
        alone = session.scalars(others.limit(1)).first() is None
        if app.current_deployment_id is None and app.status == AppStatus.BUILDING and alone:
            app.status = AppStatus.CREATED
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb="deployment.cancel",
        on=("app", app.id, app.slug),
        message=f"cancelled version {deployment.version} of {app.slug}",
        now=now,
        detail={"version": deployment.version},
    )
