"""The undo of a deployment: new replicas removed, the route back to what served, and the truth about why."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.db import Session
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import Deployment, DeploymentStage, DeploymentStatus, Replica, ReplicaState
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.replicas import backends, gone
from skypanel.deployments.route import put_route
from skypanel.deployments.stages import change, move
from skypanel.jobs import JobContext

LIVE = (DeploymentStatus.QUEUED, DeploymentStatus.BUILDING, DeploymentStatus.DEPLOYING)


def was_failing(deployment: Deployment) -> DeployFailed | None:
    """The verdict that an earlier worker had recorded before it died in the middle of the undo."""
    if deployment.reason_code is None or deployment.reason is None:
        return None
    return DeployFailed(deployment.reason_code, deployment.reason)


def fail(
    ctx: JobContext | None, platform: Platform, deployment: Deployment, why: DeployFailed, log: DeploymentLog
) -> None:
    """Records the verdict first, then undoes, then sets the final state: whoever takes over goes on undoing."""
    del ctx  # the undo is not cancelled

    def remember(_session: Session, row: Deployment, _app: App) -> None:
        if row.reason_code is None:
            row.reason_code, row.reason = why.code, why.reason

    change(platform, deployment.id, remember)
    for line in why.evidence:
        log(f"       {line}")
    log(f" !     {why.reason}")
    platform.builder.clean(deployment.id)
    _remove_new_replicas(platform, deployment)
    change(platform, deployment.id, lambda session, row, app: _final_state(session, platform, row, app))
    with platform.database.reading() as session:
        app = session.get_one(App, deployment.app_id)
        serving = backends(session, app.id)
    if app.deleted_at is None:
        put_route(platform, app, serving)


def _remove_new_replicas(platform: Platform, deployment: Deployment) -> None:
    with platform.database.reading() as session:
        app = session.get_one(App, deployment.app_id)
        keep = app.current_deployment_id == deployment.id
        mine = list(
            session.scalars(
                sa.select(Replica).where(Replica.deployment_id == deployment.id, Replica.state != ReplicaState.GONE)
            )
        )
        others = [
            backend
            for backend in backends(session, app.id)
            if (backend.address, backend.port) not in {(r.address, r.port) for r in mine}
        ]
    if keep or not mine:
        return
    put_route(platform, app, others)  # nobody is sent to a replica that is about to end
    for replica in mine:
        platform.runtime.remove(replica.id)
    with platform.database.transaction() as session:
        for replica in mine:
            gone(session.get_one(Replica, replica.id), at=platform.clock.now(), failure="its deployment failed")


def _final_state(session: Session, platform: Platform, deployment: Deployment, app: App) -> None:
    if deployment.status not in LIVE:
        return
    now = platform.clock.now()
    cancelled = deployment.reason_code == "cancelled"
    move(deployment, DeploymentStatus.CANCELLED if cancelled else DeploymentStatus.FAILED)
    deployment.finished_at = now
    deployment.duration_ms = int((now - deployment.created_at).total_seconds() * 1000)
    for stage in session.scalars(
        sa.select(DeploymentStage).where(
            DeploymentStage.deployment_id == deployment.id, DeploymentStage.status.in_(("running", "failed"))
        )
    ):
        stage.status = "cancelled" if cancelled else "failed"
        stage.finished_at = stage.finished_at or now
    _app_after_failure(app, deployment, cancelled)
    record(
        session,
        organization_id=app.organization_id,
        by=PLATFORM_ACTOR,
        verb=f"deployment.{deployment.status}",
        on=("app", app.id, app.slug),
        message=f"version {deployment.version} of {app.slug}: {deployment.reason}",
        now=now,
        detail={"version": deployment.version, "code": deployment.reason_code},
    )


def _app_after_failure(app: App, deployment: Deployment, cancelled: bool) -> None:
    if app.current_deployment_id is not None:
        if app.status in (AppStatus.BUILDING, AppStatus.DEPLOYING):
            app.status = AppStatus.STOPPED if app.wanted == Wanted.STOPPED else AppStatus.RUNNING
        return
    app.status = AppStatus.CREATED if cancelled else AppStatus.FAILED
    app.status_reason = None if cancelled else deployment.reason
