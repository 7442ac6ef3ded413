"""Scale, restart and stop: rollouts of the release that is current, and none."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.db import Session
from skypanel.deployments.drain import retire
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import alive, backends, gone
from skypanel.deployments.rollout import check, choose_replicas, planned, start, switch
from skypanel.deployments.route import put_route
from skypanel.deployments.system_log import SystemLog
from skypanel.jobs import JobContext


def restart(ctx: JobContext, platform: Platform, *, app_id: str) -> None:
    """New replicas of the current release (the request raised the generation), then the old ones drain."""
    with platform.database.reading() as session:
        app = session.get_one(App, app_id)
    if app.deleted_at is not None or app.wanted != Wanted.RUNNING:
        return
    try:
        roll(ctx, platform, app)
    except DeployFailed as error:
        _undo(platform, app, error)
        if app.status != AppStatus.RUNNING:
            _set_status(platform, app_id, AppStatus.CRASHED, error.reason)


def scale(ctx: JobContext, platform: Platform, *, app_id: str, process_type: str, before: int) -> None:
    """More replicas are started and checked before they get requests; fewer: the last ones drain. When the new ones
    do not become healthy the old number is kept."""
    with platform.database.reading() as session:
        app = session.get_one(App, app_id)
    if app.deleted_at is not None or app.wanted != Wanted.RUNNING or app.current_deployment_id is None:
        return
    try:
        roll(ctx, platform, app)
    except DeployFailed as error:
        _undo(platform, app, error)
        with platform.database.transaction() as session:
            row = session.get_one(App, app_id)
            row.formation = {**row.formation, process_type: before}


def stop(ctx: JobContext, platform: Platform, *, app_id: str) -> None:
    """The route shows the 503 page, then every replica drains."""
    del ctx
    with platform.database.transaction() as session:
        app = session.get_one(App, app_id)
        if app.wanted == Wanted.RUNNING:
            return
        app.status = AppStatus.SUSPENDED if app.wanted == Wanted.SUSPENDED else AppStatus.STOPPED
        app.status_reason = None
    route = put_route(platform, app, ())
    platform.router.confirm(route, timeout_s=10)
    with platform.database.transaction() as session:
        retire(session, platform, alive(session, app_id))


def roll(ctx: JobContext, platform: Platform, app: App) -> None:
    """From what runs to what is wanted of the current release. Raises DeployFailed."""
    assert app.current_deployment_id is not None
    release = Release.load(platform, app.current_deployment_id)
    log: DeploymentLog = SystemLog(platform, app.id)
    ctx.tx_step("choose", lambda session: choose_replicas(session, platform, release))
    ctx.step("start", lambda: start(ctx, platform, release, log))
    ctx.step("check", lambda: check(ctx, platform, release, log))
    ctx.step("switch", lambda: switch(platform, release, log))
    ctx.tx_step("retire", lambda session: _retire_rest(session, platform, release))


def _retire_rest(session: Session, platform: Platform, release: Release) -> None:
    leaving = set(planned(session, release).retire)
    retire(session, platform, [replica for replica in alive(session, release.app.id) if replica.id in leaving])
    app = session.get_one(App, release.app.id)
    app.status, app.status_reason = AppStatus.RUNNING, None


def _undo(platform: Platform, app: App, error: DeployFailed) -> None:
    """Removes the replicas that did not become healthy; what served goes on serving."""
    with platform.database.reading() as session:
        query = sa.select(Replica).where(Replica.app_id == app.id, Replica.state == ReplicaState.STARTING)
        failed = list(session.scalars(query))
    for replica in failed:
        platform.runtime.remove(replica.id)
    with platform.database.transaction() as session:
        for replica in failed:
            gone(session.get_one(Replica, replica.id), at=platform.clock.now(), failure=error.reason)
        put = backends(session, app.id)
        record(
            session,
            organization_id=app.organization_id,
            by=PLATFORM_ACTOR,
            verb="app.operation_failed",
            on=("app", app.id, app.slug),
            message=f"{app.slug}: {error.reason}",
            now=platform.clock.now(),
            detail={"code": error.code},
        )
    put_route(platform, app, put)
    log = SystemLog(platform, app.id)
    for line in error.evidence:
        log(line)
    log(error.reason)


def _set_status(platform: Platform, app_id: str, status: AppStatus, reason: str) -> None:
    with platform.database.transaction() as session:
        app = session.get_one(App, app_id)
        app.status, app.status_reason = status, reason
