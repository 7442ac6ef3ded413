"""A replica that died: its end recorded, its successor in back-off, the owner told why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.plan import Slot, formation_of
from skypanel.deployments.platform import Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import gone, new_replica
from skypanel.deployments.system_log import SystemLog
from skypanel.drivers.runtime.port import Container

LIVED_WELL = timedelta(minutes=10)  # a replica that lived this long starts again at once
LONGEST_S = 300


def delay_s(restarts: int) -> int:
    """Seconds before restart number `restarts`: 0, 1, 2, 4 … 300."""
    return 0 if restarts <= 1 else min(LONGEST_S, 2 ** (restarts - 2))


def bury(platform: Platform, release: Release, replica: Replica, container: Container | None, why: str) -> None:
    """Records its end, leaves a successor in back-off and removes the container, in this order: whoever takes over in
    between still knows why and when it ended. Idempotent by the replica's state."""
    now = platform.clock.now()
    ended = (container.finished_at if container else None) or now
    with platform.database.transaction() as session:
        row = session.get_one(Replica, replica.id)
        buried = row.state == ReplicaState.GONE
        slot = Slot(row.process_type, row.position)
        told = None if buried else _end(session, platform, release, row, slot, ended=ended, why=why, now=now)
    platform.runtime.remove(replica.id)
    if told is not None:
        SystemLog(platform, release.app.id)(told)


def _end(
    session: Session,
    platform: Platform,
    release: Release,
    row: Replica,
    slot: Slot,
    *,
    ended: datetime,
    why: str,
    now: datetime,
) -> str | None:
    """What to tell about its successor; None when nobody wants one."""
    lived = ended - row.started_at if row.started_at else timedelta(0)
    gone(row, at=ended, failure=why)
    formation = formation_of(release.process_types, release.app.formation)
    current = (row.deployment_id, row.generation) == (release.deployment.id, release.app.generation)
    if not current or slot.position > formation.get(slot.process_type, 0):
        return None
    session.flush()
    successor = new_replica(
        session,
        app=release.app,
        deployment=release.deployment,
        generation=row.generation,
        slot=slot,
        node=platform.runtime.node,
        now=now,
    )
    successor.state = ReplicaState.BACKOFF
    successor.restarts = 1 if lived >= LIVED_WELL else row.restarts + 1
    successor.last_failure = why
    wait = delay_s(successor.restarts)
    successor.retry_at = now + timedelta(seconds=wait)
    tell(session, release.app, slot, f"is restarted{f' in {wait} s' if wait else ''}: {why}", now, why=why)
    return f"{slot.name} restarts{f' in {wait} s' if wait else ''}: {why}"


def tell(session: Session, app: App, slot: Slot, what: str, now: datetime, *, why: str) -> None:
    record(
        session,
        organization_id=app.organization_id,
        by=PLATFORM_ACTOR,
        verb="replica.restarted",
        on=("app", app.id, app.slug),
        message=f"{slot.name} of {app.slug} {what}",
        now=now,
        detail={"replica": slot.name, "reason": why},
    )


def is_due(replica: Replica, now: datetime) -> bool:
    """Also when the clock was set back: no back-off is longer than LONGEST_S."""
    return replica.retry_at is None or not now < replica.retry_at <= now + timedelta(seconds=LONGEST_S)


def due(session: Session, release: Release, formation: Mapping[str, int], now: datetime) -> None:
    """Successors whose time has come go to `starting`; those nobody wants any more are gone."""
    query = sa.select(Replica).where(Replica.app_id == release.app.id, Replica.state == ReplicaState.BACKOFF)
    for replica in session.scalars(query):
        current = (replica.deployment_id, replica.generation) == (release.deployment.id, release.app.generation)
        if not current or replica.position > formation.get(replica.process_type, 0):
            gone(replica, at=now)
        elif is_due(replica, now):
            replica.state = ReplicaState.STARTING
