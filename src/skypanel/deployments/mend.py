"""Brings one app from what is there to what is wanted: after a crash, a reboot, a failed health check, or a change
made by hand. Runs under the app's key, or beside the stages of a deployment that touch nothing that runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Protocol

import sqlalchemy as sa

from skypanel.apps.models import App, Wanted
from skypanel.db import Session
from skypanel.deployments.backoff import bury, due, tell
from skypanel.deployments.drain import let_go, note_place, retire
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.health import Verdict, ask, asked_of, running, why_dead
from skypanel.deployments.models import IN_PROGRESS, Deployment, Replica, ReplicaState
from skypanel.deployments.plan import Slot, formation_of
from skypanel.deployments.platform import Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import alive, gone, serving, take_over
from skypanel.deployments.rollout import WORKER_SETTLES_S, choose_replicas, planned, start_one
from skypanel.deployments.route import CONFIRM_S, apply_route, put_route, route_of
from skypanel.deployments.status import settle, web_wanted
from skypanel.deployments.system_log import SystemLog
from skypanel.drivers.router.port import Backend
from skypanel.drivers.runtime.port import Container


class Stoppable(Protocol):
    def cancelled(self) -> bool: ...


def mend(ctx: Stoppable, platform: Platform, *, app_id: str) -> None:
    with platform.database.reading() as session:
        app = session.get_one(App, app_id)
    if app.deleted_at is not None:
        return
    if app.wanted != Wanted.RUNNING or app.current_deployment_id is None:
        _end_all(platform, app)
        return
    try:
        release = Release.load(platform, app.current_deployment_id)
    except DeployFailed as error:
        _cannot_start(platform, app, error.reason)
        return
    _bury_dead(platform, release)
    _start_missing(ctx, platform, release)
    _route_to_healthy(platform, release)
    _retire_rest(platform, release)


def _cannot_start(platform: Platform, app: App, why: str) -> None:
    """Nothing can be started from this release any more: what has died stays dead, and the app says why."""
    with platform.database.reading() as session:
        candidates = own(session, app)
    ends = {r.id: platform.runtime.get(r.id) for r in candidates}
    with platform.database.transaction() as session:
        row = session.get_one(App, app.id)
        for replica_id, container in ends.items():
            if not running(container):
                now = platform.clock.now()
                at = (container.finished_at if container else None) or now
                gone(session.get_one(Replica, replica_id), at=at, failure=why)
        settle(session, row, why=why)
        web = web_wanted(session, row)
        targets = serving(own(session, row))
    put_route(platform, row, targets, web=web)
    if row.status_reason != app.status_reason:
        SystemLog(platform, app.id)(why)


def own(session: Session, app: App) -> list[Replica]:
    """Replicas that are nobody else's business: those of a deployment still under way belong to its job."""
    under_way = sa.select(Deployment.id).where(Deployment.app_id == app.id, Deployment.status.in_(IN_PROGRESS))
    busy = set(session.scalars(under_way))
    return [replica for replica in alive(session, app.id) if replica.deployment_id not in busy]


def _end_all(platform: Platform, app: App) -> None:
    with platform.database.reading() as session:
        web = web_wanted(session, app)
    put_route(platform, app, (), web=web)
    with platform.database.transaction() as session:
        retire(session, platform, own(session, app))


def _bury_dead(platform: Platform, release: Release) -> None:
    """Replicas whose container ended are gone from that very moment; each gets a successor in back-off. One that was
    chosen but never started is not dead."""
    with platform.database.reading() as session:
        candidates = [r for r in own(session, release.app) if r.state != ReplicaState.BACKOFF]
    dead: list[tuple[Replica, Container | None]] = []
    for replica in candidates:
        if replica.state == ReplicaState.STARTING and replica.started_at is None:
            continue
        container = platform.runtime.get(replica.id)
        if not running(container):
            dead.append((replica, container))
        elif container is not None and container.address != replica.address:
            note_place(platform, replica, container)
    if dead:
        _route_past(platform, release, {replica.id for replica, _ in dead})
    for replica, container in dead:
        bury(platform, release, replica, container, why_dead(container, release.app))


def _route_past(platform: Platform, release: Release, dead: Collection[str]) -> None:
    """No request goes to these any more, when others can take it: their successors take seconds, and whatever is sent
    to a machine that is lost hangs."""
    with platform.database.reading() as session:
        app = session.get_one(App, release.app.id)
        others = [replica for replica in own(session, app) if replica.id not in dead]
        left = _good(session, release, others) or serving(others)
        web = web_wanted(session, app)
    if left:
        put_route(platform, app, left, web=web)


def _good(session: Session, release: Release, replicas: Sequence[Replica]) -> tuple[Backend, ...]:
    """The healthy ones of what the app is to run."""
    keep = set(planned(session, release).keep)
    return serving(replica for replica in replicas if replica.id in keep and replica.state == ReplicaState.HEALTHY)


def _start_missing(ctx: Stoppable, platform: Platform, release: Release) -> None:
    with platform.database.transaction() as session:
        formation = formation_of(release.process_types, release.app.formation)
        due(session, release, formation, platform.clock.now())
        waiting = [r for r in own(session, release.app) if r.state == ReplicaState.BACKOFF]
        # A slot whose replica waits in back-off is not missing.
        skip = frozenset(Slot(r.process_type, r.position) for r in waiting)
        chosen = choose_replicas(session, platform, release, skip=skip)
        session.flush()
        _succeed_unhealthy(session, platform, release, chosen)
    with platform.database.reading() as session:
        fresh = [
            r
            for r in own(session, release.app)
            if r.state == ReplicaState.STARTING and r.deployment_id == release.deployment.id
        ]
    started: list[Replica] = []
    for replica in fresh:
        try:
            # Without a recorded start nobody knows its address: whoever started it died before saying so.
            if replica.started_at is None or not running(platform.runtime.get(replica.id)):
                start_one(platform, release, replica)
            started.append(replica)
        except DeployFailed as error:
            bury(platform, release, replica, None, error.reason)
    _wait(ctx, platform, release, started)


def _succeed_unhealthy(session: Session, platform: Platform, release: Release, chosen: Sequence[str]) -> None:
    """Who takes the place of a replica that fails its health checks carries on its count, and the owner is told."""
    failing = {
        Slot(r.process_type, r.position): r
        for r in own(session, release.app)
        if r.state == ReplicaState.UNHEALTHY and r.deployment_id == release.deployment.id
    }
    now = platform.clock.now()
    for replica_id in chosen:
        replica = session.get_one(Replica, replica_id)
        slot = Slot(replica.process_type, replica.position)
        if (old := failing.get(slot)) is None:
            continue
        why = old.last_failure or "its health checks failed"
        replica.restarts, replica.last_failure = old.restarts + 1, why
        tell(session, release.app, slot, f"is replaced: {why}", now, why=why)
        SystemLog(platform, release.app.id)(f"{slot.name} is replaced: {why}")


def _wait(ctx: Stoppable, platform: Platform, release: Release, waiting: list[Replica]) -> None:
    began = time.monotonic()
    pause = 0.02
    while waiting and not ctx.cancelled():
        late = time.monotonic() - began > platform.rules.health_deadline_s
        left = []
        for replica in waiting:
            verdict = _verdict(platform, release, replica, began)
            container = platform.runtime.get(replica.id)
            if verdict.healthy:
                _healthy(platform, replica)
            elif not running(container):
                bury(platform, release, replica, container, why_dead(container, release.app))
            elif late:
                bury(platform, release, replica, container, f"it did not become healthy: {verdict.reason}")
            else:
                left.append(replica)
        waiting = left
        if waiting:
            time.sleep(pause)
            pause = min(0.5, pause * 1.4)


def _verdict(platform: Platform, release: Release, replica: Replica, began: float) -> Verdict:
    if replica.process_type == "web":
        return ask(platform.probe, release.app, replica, **asked_of(platform, release.app))
    lives = running(platform.runtime.get(replica.id)) and time.monotonic() - began >= WORKER_SETTLES_S
    return Verdict(lives, "it has just started")


def _healthy(platform: Platform, replica: Replica) -> None:
    with platform.database.transaction() as session:
        session.get_one(Replica, replica.id).state = ReplicaState.HEALTHY


def _route_to_healthy(platform: Platform, release: Release) -> None:
    with platform.database.transaction() as session:
        app = session.get_one(App, release.app.id)
        settle(session, app)
        replicas = own(session, app)
        keep = set(planned(session, release).keep)
        take_over([r for r in replicas if r.id in keep], replicas, now=platform.clock.now())
        good = _good(session, release, replicas)
        web = web_wanted(session, app)
    route = route_of(platform, app, good or serving(replicas), web=web)
    wanted = None if route is None else platform.router.fingerprint(route)
    if platform.router.routes().get(app.id) != wanted:
        apply_route(platform, app.id, route)
        if route is not None:
            platform.router.confirm(route, timeout_s=CONFIRM_S)


def _retire_rest(platform: Platform, release: Release) -> None:
    with platform.database.transaction() as session:
        leaving = set(planned(session, release).retire)
        rest = [
            r
            for r in own(session, release.app)
            if r.id in leaving and not (r.state == ReplicaState.BACKOFF and r.deployment_id == release.deployment.id)
        ]
        retire(session, platform, rest)
    if rest and let_go(platform, release.app.id, {r.id for r in rest}):
        _route_to_healthy(platform, release)
