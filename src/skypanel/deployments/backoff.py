"""A replica that died: its end recorded, its successor in back-off, the owner told why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.plan import Slot
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
    """Removes the container and leaves a successor in back-off. Idempotent by the replica's state."""
    now = platform.clock.now()
    ended = (container.finished_at if container else None) or now
    platform.runtime.remove(replica.id)
    with platform.database.transaction() as session:
        row = session.get_one(Replica, replica.id)
        if row.state == ReplicaState.GONE:
            return
        slot = Slot(row.process_type, row.position)
        lived = ended - row.started_at if row.started_at else timedelta(0)
        gone(row, at=ended, failure=why)
        if (row.deployment_id, row.generation) != (release.deployment.id, release.app.generation):
            return
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
        successor.restarts = row.restarts + 1
        successor.last_failure = why
        wait = 0 if lived >= LIVED_WELL else delay_s(successor.restarts)
        successor.retry_at = now + timedelta(seconds=wait)
        _tell(session, release.app, slot, why, wait, now)
    SystemLog(platform, release.app.id)(f"{slot.name} restarts{f' in {wait} s' if wait else ''}: {why}")


def _tell(session: Session, app: App, slot: Slot, why: str, wait: int, now: datetime) -> None:
    record(
        session,
        organization_id=app.organization_id,
        by=PLATFORM_ACTOR,
        verb="replica.restarted",
        on=("app", app.id, app.slug),
        message=f"{slot.name} of {app.slug} is restarted{f' in {wait} s' if wait else ''}: {why}",
        now=now,
        detail={"replica": slot.name, "reason": why},
    )


def due(session: Session, release: Release, formation: Mapping[str, int], now: datetime) -> None:
    """Successors whose time has come go to `starting`; those nobody wants any more are gone."""
    query = sa.select(Replica).where(Replica.app_id == release.app.id, Replica.state == ReplicaState.BACKOFF)
    for replica in session.scalars(query):
        current = (replica.deployment_id, replica.generation) == (release.deployment.id, release.app.generation)
        if not current or replica.position > formation.get(replica.process_type, 0):
            gone(replica, at=now)
        elif replica.retry_at is None or replica.retry_at <= now:
            replica.state = ReplicaState.STARTING
