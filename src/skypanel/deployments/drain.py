"""The end of a replica without losing a request.

When a replica is retired the router has already been confirmed to send nothing new to it. What is left are open
requests: the router closes idle connections after `idle_connection_s`, so every connection that remains after that
is one. When none is left, or the drain time is over: SIGTERM, grace, SIGKILL.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.deployments.replicas import gone
from skypanel.deployments.stages import end_stage
from skypanel.jobs import JobContext, enqueue

LOOK_EVERY_S = 0.25


def retire(
    session: Session, platform: Platform, replicas: Sequence[Replica], *, deployment_id: str | None = None
) -> None:
    """Marks them draining and enqueues the end of each, in the caller's transaction. `deployment_id`: the deployment
    whose drain stage ends with the last of them."""
    until = platform.clock.now() + timedelta(seconds=platform.rules.drain_timeout_s)
    for replica in replicas:
        replica.state, replica.drain_until = ReplicaState.DRAINING, until
        enqueue(
            session,
            kind="replica.drain",
            queue="drains",
            args={"replica_id": replica.id, "deployment_id": deployment_id},
            max_attempts=20,
        )


def drain(ctx: JobContext, platform: Platform, *, replica_id: str, deployment_id: str | None = None) -> None:
    with platform.database.reading() as session:
        replica = session.get(Replica, replica_id)
    if replica is not None and replica.state != ReplicaState.GONE:
        if replica.process_type == "web":
            _wait_for_requests(ctx, platform, replica)
        platform.runtime.stop(replica_id, grace_s=platform.rules.stop_grace_s)
        ended = platform.runtime.get(replica_id)
        platform.runtime.remove(replica_id)
        with platform.database.transaction() as session:
            gone(session.get_one(Replica, replica_id), at=(ended and ended.finished_at) or platform.clock.now())
    if deployment_id is not None:
        _end_drain_stage(platform, deployment_id)


def _wait_for_requests(ctx: JobContext, platform: Platform, replica: Replica) -> None:
    assert replica.drain_until is not None
    time.sleep(platform.rules.idle_connection_s)
    while platform.clock.now() < replica.drain_until and platform.runtime.open_connections(replica.id) > 0:
        if ctx.cancelled():
            return
        time.sleep(LOOK_EVERY_S)


def _end_drain_stage(platform: Platform, deployment_id: str) -> None:
    with platform.database.transaction() as session:
        deployment = session.get_one(Deployment, deployment_id)
        left = session.scalar(
            sa.select(sa.func.count())
            .select_from(Replica)
            .where(
                Replica.app_id == deployment.app_id,
                Replica.deployment_id != deployment_id,
                Replica.state == ReplicaState.DRAINING,
            )
        )
        if not left:
            end_stage(session, deployment_id, "drain", "done", platform.clock.now())
            if deployment.stage == "drain":
                deployment.stage = None
