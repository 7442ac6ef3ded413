"""Scale, restart and stop: rollouts of the release that is current, and none.

What each wants is written down by its request, for people to see, and again when its turn has come: requests are
carried out one after the other, and none takes up what a later one asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.guards import is_suspended
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.db import Session
from skypanel.deployments.drain import let_go, retire
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import ReplicaState
from skypanel.deployments.plan import Desired, formation_of, plan
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import alive, backends, holding, serves
from skypanel.deployments.rollout import check, choose_replicas, planned, start, switch
from skypanel.deployments.route import move_route
from skypanel.deployments.status import current_process_types, settle, web_wanted
from skypanel.deployments.suspend import put_to_rest
from skypanel.deployments.system_log import SystemLog
from skypanel.jobs import JobContext


def restart(ctx: JobContext, platform: Platform, *, app_id: str) -> None:
    """New replicas of the current release, then the old ones drain. When the new ones do not become healthy the old
    ones stay, and are the wanted ones again."""

    def begin(session: Session) -> int | None:
        app = session.get_one(App, app_id, with_for_update=True)
        if app.deleted_at is not None or app.wanted == Wanted.SUSPENDED or app.current_deployment_id is None:
            return None
        if is_suspended(session, app.organization_id):  # it was stopped when its organization was put to rest
            put_to_rest(session, app)
            return None
        app.wanted = Wanted.RUNNING
        app.generation += 1
        return app.generation - 1

    before = ctx.tx_step("begin", begin)
    if before is None:
        return

    def back(app: App) -> None:
        app.generation = before

    _operate(ctx, platform, app_id, back)


def scale(ctx: JobContext, platform: Platform, *, app_id: str, process_type: str, before: int, replicas: int) -> None:
    """More replicas are started and checked before they get requests; fewer: the last ones drain. When the new ones
    do not become healthy the old number is kept. `before`: what was wanted at the request."""

    def begin(session: Session) -> bool:
        app = session.get_one(App, app_id, with_for_update=True)
        if app.deleted_at is not None:
            return False
        app.formation = {**app.formation, process_type: replicas}
        return app.wanted == Wanted.RUNNING and app.current_deployment_id is not None

    if not ctx.tx_step("begin", begin):
        return

    def back(app: App) -> None:
        app.formation = {**app.formation, process_type: before}

    _operate(ctx, platform, app_id, back)


def stop(ctx: JobContext, platform: Platform, *, app_id: str) -> None:
    """The route shows the 503 page, then every replica drains."""

    def begin(session: Session) -> bool:
        """Whether there is nothing to do."""
        app = session.get_one(App, app_id, with_for_update=True)
        if app.current_deployment_id is None and app.wanted == Wanted.RUNNING:
            return True  # only a suspension stops what has no release, and it is over
        if app.wanted != Wanted.SUSPENDED:
            app.wanted = Wanted.STOPPED
        app.status = AppStatus.SUSPENDED if app.wanted == Wanted.SUSPENDED else AppStatus.STOPPED
        app.status_reason = None
        return False

    if ctx.tx_step("begin", begin):
        return
    with platform.database.reading() as session:
        app = session.get_one(App, app_id)
        web = web_wanted(session, app)
    if app.deleted_at is None:
        move_route(platform, app, (), web=web)
    with platform.database.transaction() as session:
        retire(session, platform, alive(session, app_id))


def _operate(ctx: JobContext, platform: Platform, app_id: str, back: Callable[[App], None]) -> None:
    """From what runs to what is wanted of the current release, or `back` to what was."""
    try:
        with platform.database.reading() as session:
            deployment_id = session.get_one(App, app_id).current_deployment_id
        assert deployment_id is not None
        release = Release.load(platform, deployment_id)
        log: DeploymentLog = SystemLog(platform, app_id)
        ctx.tx_step("choose", lambda session: choose_replicas(session, platform, release))
        ctx.step("start", lambda: start(ctx, platform, release, log))
        ctx.step("check", lambda: check(ctx, platform, release, log))
        ctx.step("switch", lambda: switch(platform, release, log))
        leaving = ctx.tx_step("retire", lambda session: _retire_rest(session, platform, release))
        ctx.step("leave", lambda: _leave(platform, app_id, leaving or ()), check_cancel=False)
    except DeployFailed as error:
        _undo(ctx, platform, app_id, back, error)


def _retire_rest(session: Session, platform: Platform, release: Release) -> list[str]:
    rollout, replicas = planned(session, release), alive(session, release.app.id)
    now = platform.clock.now()
    serves((replica for replica in replicas if replica.id in rollout.keep), now=now)
    leaving = set(rollout.retire)
    retire(session, platform, [replica for replica in replicas if replica.id in leaving], now=now)
    settle(session, session.get_one(App, release.app.id))
    return sorted(leaving)


def _leave(platform: Platform, app_id: str, leaving: Collection[str]) -> None:
    if let_go(platform, app_id, leaving):
        with platform.database.reading() as session:
            app = session.get_one(App, app_id)
            kept, web = backends(session, app_id), web_wanted(session, app)
        move_route(platform, app, kept, web=web)


def _undo(ctx: JobContext, platform: Platform, app_id: str, back: Callable[[App], None], error: DeployFailed) -> None:
    """What served goes on serving; the replicas that were to replace or join it leave."""
    leaving = set(ctx.tx_step("undo", lambda session: _decide_undo(session, platform, app_id, back, error)))
    with platform.database.reading() as session:
        app = session.get_one(App, app_id)
        kept, web = backends(session, app_id, without=leaving), web_wanted(session, app)
    if app.deleted_at is None:
        move_route(platform, app, kept, web=web)
    with platform.database.transaction() as session:
        retire(session, platform, [replica for replica in alive(session, app_id) if replica.id in leaving])
        settle(session, session.get_one(App, app_id), why=error.reason)
    _leave(platform, app_id, leaving)
    log = SystemLog(platform, app_id)
    for line in (*error.evidence, error.reason):
        log(line)


def _decide_undo(
    session: Session, platform: Platform, app_id: str, back: Callable[[App], None], error: DeployFailed
) -> list[str]:
    """Wants again what was wanted before; the ids of the replicas that leave."""
    app = session.get_one(App, app_id, with_for_update=True)
    back(app)
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
    replicas = alive(session, app_id)
    assert app.current_deployment_id is not None
    formation = formation_of(current_process_types(session, app), app.formation)
    settled = [holding(replica) for replica in replicas if replica.state != ReplicaState.STARTING]
    kept = plan(Desired(app.current_deployment_id, app.generation, formation), settled).keep
    return [replica.id for replica in replicas if replica.id not in kept]
