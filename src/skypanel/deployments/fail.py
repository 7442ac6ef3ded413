"""The undo of a deployment: new replicas removed, the route back to what served, and the truth about why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.models import App, AppStatus
from skypanel.db import Session
from skypanel.deployments.drain import retire
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import (
    IN_PROGRESS,
    Deployment,
    DeploymentStage,
    DeploymentStatus,
    Replica,
    ReplicaState,
)
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.replicas import backends, gone
from skypanel.deployments.route import move_route
from skypanel.deployments.stages import change, move
from skypanel.deployments.status import settle, web_wanted
from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.router.port import RouterFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.jobs import cancel_asked

log = logging.getLogger(__name__)
CANCELLED = DeployFailed("cancelled", "Cancelled before it served.")
ENDED_UNBEGUN = (DeploymentStatus.SUPERSEDED, DeploymentStatus.CANCELLED)


def was_failing(deployment: Deployment) -> DeployFailed | None:
    """The verdict that an earlier worker had recorded before it died in the middle of the undo."""
    if deployment.reason_code is None or deployment.reason is None:
        return None
    return DeployFailed(deployment.reason_code, deployment.reason)


def fail(platform: Platform, deployment: Deployment, why: DeployFailed, say: DeploymentLog) -> DeployFailed:
    """Records the verdict first, then undoes, then sets the final state: whoever takes over goes on undoing.
    Returns the verdict.

    What fails after a cancel was accepted is cancelled, as was promised; after the verdict none is accepted. A driver
    that fails in the undo does not keep the truth from being told: what stays behind belongs to no deployment under
    way then, and the reconciler takes it away.
    """

    def remember(session: Session, row: Deployment, _app: App) -> None:
        nonlocal why
        if row.reason_code is None:
            if row.job_id is not None and cancel_asked(session, row.job_id):
                why = CANCELLED
            row.reason_code, row.reason = why.code, why.reason

    change(platform, deployment.id, remember)
    for line in why.evidence:
        say(f"       {line}")
    say(f" !     {why.reason}")
    _as_far_as_it_goes(lambda: platform.builder.clean(deployment.id))
    _as_far_as_it_goes(lambda: _remove_new_replicas(platform, deployment))
    change(platform, deployment.id, lambda session, row, app: _final_state(session, platform, row, app))
    _as_far_as_it_goes(lambda: _route_back(platform, deployment, frozenset()))
    return why


def _as_far_as_it_goes(undo: Callable[[], object]) -> None:
    try:
        undo()
    except (RuntimeFailed, RouterFailed, BuildFailed, OSError) as error:
        log.warning("a part of the undo is left to the reconciler: %s", error)


def _route_back(platform: Platform, deployment: Deployment, without: Collection[str]) -> None:
    """The route to what served before, in force before anything that it led to ends."""
    with platform.database.reading() as session:
        app = session.get_one(App, deployment.app_id)
        serving = backends(session, app.id, without=without)
        web = web_wanted(session, app)
    if app.deleted_at is None:
        move_route(platform, app, serving, web=web)


def _remove_new_replicas(platform: Platform, deployment: Deployment) -> None:
    """Those that may have got requests drain; the others end at once, so that a cancel ends when its work has."""
    with platform.database.reading() as session:
        row = session.get_one(Deployment, deployment.id)
        if session.get_one(App, row.app_id).current_deployment_id == row.id:
            return
        query = sa.select(Replica).where(
            Replica.deployment_id == row.id, Replica.state.not_in((ReplicaState.GONE, ReplicaState.DRAINING))
        )
        mine = list(session.scalars(query))
    if not mine:
        return
    served = [r for r in mine if row.stage == "switch" and r.state == ReplicaState.HEALTHY]
    unused = [r for r in mine if r not in served]
    _route_back(platform, deployment, {r.id for r in mine})
    with platform.database.transaction() as session:
        retire(session, platform, [session.get_one(Replica, r.id) for r in served])
    for replica in unused:
        platform.runtime.remove(replica.id)
    now = platform.clock.now()
    with platform.database.transaction() as session:
        for replica in unused:
            gone(session.get_one(Replica, replica.id), at=now, failure="its deployment failed")


def _final_state(session: Session, platform: Platform, deployment: Deployment, app: App) -> None:
    now = platform.clock.now()
    cancelled = deployment.reason_code == "cancelled" or deployment.status in ENDED_UNBEGUN
    for stage in session.scalars(
        sa.select(DeploymentStage).where(
            DeploymentStage.deployment_id == deployment.id, DeploymentStage.status.in_(("running", "failed"))
        )
    ):
        stage.status = "cancelled" if cancelled else "failed"
        stage.finished_at = stage.finished_at or now
    if deployment.status not in IN_PROGRESS:
        return
    move(deployment, DeploymentStatus.CANCELLED if cancelled else DeploymentStatus.FAILED)
    deployment.finished_at = now
    deployment.duration_ms = int((now - deployment.created_at).total_seconds() * 1000)
    _app_after_failure(session, app, deployment, cancelled)
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


def _app_after_failure(session: Session, app: App, deployment: Deployment, cancelled: bool) -> None:
    if app.current_deployment_id is not None:
        settle(session, app)
    elif not cancelled:
        app.status, app.status_reason = AppStatus.FAILED, deployment.reason
    elif app.deleted_at is None:
        app.status, app.status_reason = AppStatus.CREATED, None
