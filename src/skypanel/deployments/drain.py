"""The end of a replica without losing a request.

When a replica is retired the router has already been confirmed to send nothing new to it. What is left are open
requests: the router closes idle connections after `idle_connection_s`, so every connection that remains after that
is one. When none is left, or the drain time is over: SIGTERM, grace, SIGKILL.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.deployments.models import Deployment, DeploymentStage, Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.deployments.replicas import alive, gone, leaves
from skypanel.deployments.stages import end_stage
from skypanel.drivers.runtime.port import Container
from skypanel.jobs import JobContext, enqueue

LOOK_EVERY_S = 0.25


def retire(session: Session, platform: Platform, replicas: Sequence[Replica], *, now: datetime | None = None) -> None:
    """Marks them draining and enqueues the end of each, in the caller's transaction. `now`: when those that follow
    them began to be paid for, so that no moment is paid for twice."""
    now = now or platform.clock.now()
    until = now + timedelta(seconds=platform.rules.drain_timeout_s)
    for replica in replicas:
        leaves(replica, at=now)
        replica.state, replica.drain_until = ReplicaState.DRAINING, until
        ask_to_drain(session, replica.id)


def ask_to_drain(session: Session, replica_id: str) -> None:
    enqueue(
        session,
        kind="replica.drain",
        queue="drains",
        key=f"replica:{replica_id}",
        dedup=f"drain:{replica_id}",
        args={"replica_id": replica_id},
        max_attempts=20,
    )


def let_go(platform: Platform, app_id: str, leaving: Collection[str]) -> bool:
    """To be asked after replicas were retired that shared a group with others: a cluster may end another container
    than theirs, and whoever loses his gets one of theirs. Whether the route has to follow; the caller holds the app."""
    platform.runtime.retire(leaving)
    if not platform.runtime.heals:
        return False
    with platform.database.reading() as session:
        staying = alive(session, app_id)
    found = [(replica, platform.runtime.get(replica.id)) for replica in staying if replica.address is not None]
    others = [(replica, container) for replica, container in found
              if container is not None and container.address != replica.address]  # fmt: skip
    for replica, container in others:
        note_place(platform, replica, container)
    return bool(others)


def note_place(platform: Platform, replica: Replica, container: Container) -> None:
    """Writes down where a replica's container is now."""
    with platform.database.transaction() as session:
        row = session.get_one(Replica, replica.id)
        row.address, row.port, row.node = container.address, container.port, container.node or row.node


def drain(ctx: JobContext, platform: Platform, *, replica_id: str) -> None:
    with platform.database.reading() as session:
        replica = session.get_one(Replica, replica_id)
    if replica.state != ReplicaState.GONE:
        if replica.process_type == "web" and replica.started_at is not None:
            _wait_for_requests(ctx, platform, replica)
        platform.runtime.retire(_draining_with(platform, replica))
        platform.runtime.stop(replica_id, grace_s=platform.rules.stop_grace_s)
        ended = platform.runtime.get(replica_id)
        with platform.database.transaction() as session:
            now = platform.clock.now()
            gone(session.get_one(Replica, replica_id), at=(ended and ended.finished_at) or now)
    platform.runtime.remove(replica_id)  # after its end was recorded, so that nobody forgets when that was
    _end_drain_stages(platform, replica.app_id)


def _draining_with(platform: Platform, replica: Replica) -> Sequence[str]:
    """All that leave together are retired by the first of them, in one go."""
    query = sa.select(Replica.id).where(Replica.app_id == replica.app_id, Replica.state == ReplicaState.DRAINING)
    with platform.database.reading() as session:
        return list(session.scalars(query))


def _wait_for_requests(ctx: JobContext, platform: Platform, replica: Replica) -> None:
    assert replica.drain_until is not None
    # By the steady clock: one that is set back must not make it longer.
    left_s = (replica.drain_until - platform.clock.now()).total_seconds()
    until = time.monotonic() + min(left_s, platform.rules.drain_timeout_s)
    time.sleep(platform.rules.idle_connection_s)
    while time.monotonic() < until and platform.runtime.open_connections(replica.id) > 0:
        if ctx.cancelled():
            return
        time.sleep(LOOK_EVERY_S)


def _end_drain_stages(platform: Platform, app_id: str) -> None:
    """Of every deployment of the app beneath which nothing older drains any more."""
    with platform.database.transaction() as session:
        open_stages = (
            sa.select(Deployment)
            .join(DeploymentStage, DeploymentStage.deployment_id == Deployment.id)
            .where(Deployment.app_id == app_id, DeploymentStage.name == "drain", DeploymentStage.finished_at.is_(None))
        )
        oldest = session.scalar(
            sa.select(sa.func.min(Deployment.version))
            .join(Replica, Replica.deployment_id == Deployment.id)
            .where(Replica.app_id == app_id, Replica.state == ReplicaState.DRAINING)
        )
        for deployment in session.scalars(open_stages):
            if oldest is None or oldest >= deployment.version:
                end_stage(session, deployment.id, "drain", "done", platform.clock.now())
                if deployment.stage == "drain":
                    deployment.stage = None
