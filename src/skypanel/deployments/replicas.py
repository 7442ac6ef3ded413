"""Rows of replicas: made, moved and read in one place."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.deployments.plan import Actual, Slot
from skypanel.drivers.router.port import Backend
from skypanel.kit.ids import as_name, short

UP = (ReplicaState.HEALTHY, ReplicaState.UNHEALTHY)


def alive(session: Session, app_id: str) -> Sequence[Replica]:
    """Replicas of the app that are neither gone nor draining."""
    query = sa.select(Replica).where(
        Replica.app_id == app_id, Replica.state.not_in((ReplicaState.GONE, ReplicaState.DRAINING))
    )
    return list(session.scalars(query.order_by(Replica.id)))


def as_actual(replica: Replica) -> Actual:
    return Actual(
        id=replica.id,
        deployment_id=replica.deployment_id,
        generation=replica.generation,
        slot=Slot(replica.process_type, replica.position),
        usable=replica.state in (ReplicaState.STARTING, ReplicaState.HEALTHY),
    )


def holding(replica: Replica) -> Actual:
    """As one that holds its slot, whatever its state: in back-off it is woken in time, unhealthy it is replaced."""
    return dataclasses.replace(as_actual(replica), usable=True)


def container_id(app: App, deployment: Deployment, slot: Slot) -> str:
    """Unique, and readable by an operator: app, version, process type, position, random tail."""
    process_type = as_name(slot.process_type)
    return f"{short(app.id)}-v{deployment.version}-{process_type}-{slot.position}-{secrets.token_hex(3)}"


def new_replica(
    session: Session, *, app: App, deployment: Deployment, generation: int, slot: Slot, node: str, now: datetime
) -> Replica:
    replica = Replica(
        id=container_id(app, deployment, slot),
        app_id=app.id,
        organization_id=app.organization_id,
        deployment_id=deployment.id,
        generation=generation,
        process_type=slot.process_type,
        position=slot.position,
        state=ReplicaState.STARTING,
        node=node,
        restarts=0,
        failures=0,
        plan_slug=app.plan_slug,
        price_per_hour_micro=app.price_per_hour_micro,
        created_at=now,
    )
    session.add(replica)
    return replica


def serves(replicas: Iterable[Replica], *, now: datetime) -> None:
    """From now on they are paid for: they are healthy, and of what the app is to run."""
    for replica in replicas:
        if replica.state == ReplicaState.HEALTHY and replica.metered_from is None:
            replica.metered_from = replica.recheck_from = now  # of an hour that is over, when the clock was set back


def take_over(keep: Sequence[Replica], replicas: Sequence[Replica], *, now: datetime) -> None:
    """Those of `keep` that are healthy serve; what had their slots until now, and goes later, is not paid for twice."""
    serves(keep, now=now)
    kept = {replica.id for replica in keep}
    served = {(replica.process_type, replica.position) for replica in keep if replica.metered_from is not None}
    for replica in replicas:
        if replica.id not in kept and (replica.process_type, replica.position) in served:
            leaves(replica, at=now)


def leaves(replica: Replica, *, at: datetime) -> None:
    """From `at` on it is paid for no longer. That may be long ago, when nobody looked."""
    if replica.metered_from is None:
        return
    end = max(at, replica.metered_from)
    if replica.metered_until is None or end < replica.metered_until:
        replica.metered_until = end
        replica.recheck_from = min(end, replica.recheck_from or end)


def gone(replica: Replica, *, at: datetime, failure: str | None = None) -> None:
    """Its end, once."""
    if replica.state == ReplicaState.GONE:
        return
    replica.state = ReplicaState.GONE
    if replica.started_at is not None:
        replica.stopped_at = max(at, replica.started_at)
        leaves(replica, at=replica.stopped_at)
    if failure is not None:
        replica.last_failure = failure


def backends(session: Session, app_id: str, *, without: Collection[str] = ()) -> tuple[Backend, ...]:
    """Addresses of the app's web replicas that may get requests."""
    replicas = session.scalars(sa.select(Replica).where(Replica.app_id == app_id, Replica.state.in_(UP)))
    return serving(replica for replica in replicas if replica.id not in without)


def serving(replicas: Iterable[Replica]) -> tuple[Backend, ...]:
    """Healthy web replicas, and those that fail but are not given up."""
    found = [
        Backend(r.address, r.port)
        for r in replicas
        if r.process_type == "web" and r.state in UP and r.address is not None and r.port is not None
    ]
    return tuple(sorted(found))
