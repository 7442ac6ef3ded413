"""The jobs behind drain, activate and remove."""

from __future__ import annotations

import orjson
import sqlalchemy as sa

from skypanel.apps.models import App, Wanted
from skypanel.db import Session
from skypanel.deployments.ask_release import app_key
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.drivers.machines import Machines, MachinesFailed, Newcomer
from skypanel.jobs import Job, JobContext, JobState, enqueue
from skypanel.kit.secret import Secret
from skypanel.nodes.models import Availability, Node

LOOK_S = 0.5
OPEN = (JobState.QUEUED, JobState.RUNNING)


def drain(ctx: JobContext, platform: Platform, machines: Machines, *, name: str) -> None:
    """Nothing new is placed there; every application that has a replica there is restarted, which starts new ones
    before the old ones end; then the cluster's own parts leave. An application that does not get healthy elsewhere
    stays, and the machine says so."""
    machines.close_to_new(name)
    jobs = ctx.tx_step("restart", lambda session: _restart_all(session, name))
    while _under_way(platform, jobs):
        if ctx.wait(LOOK_S):
            return  # activated again
    while staying := _apps_on(platform, name):
        with platform.database.transaction() as session:
            node = session.get(Node, name)
            if node is not None:
                node.note = f"{len(staying)} of its applications could not be moved: {', '.join(staying[:5])}"
        if ctx.wait(LOOK_S):
            return
    machines.empty(name)
    ctx.tx_step("drained", lambda session: _set(session, name, Availability.DRAINED))


def add(platform: Platform, machines: Machines, *, name: str) -> None:
    """Once: a machine that does not join is `failed`, with what it said."""
    with platform.database.reading() as session:
        node = session.get(Node, name)
    if node is None or node.sealed is None:
        return
    asked = orjson.loads(platform.vault.decrypt(node.sealed.encode()))
    newcomer = Newcomer(**asked | {"private_key": Secret(asked["private_key"])})
    why: str | None = None
    try:
        machines.add(newcomer)
    except MachinesFailed as error:
        why = str(error)
    _joined(platform, name, why)


def interrupted(platform: Platform, *, name: str) -> None:
    _joined(platform, name, "the platform was interrupted; add it again")


def _joined(platform: Platform, name: str, why: str | None) -> None:
    """Or not, and why. How to get there is forgotten."""
    with platform.database.transaction() as session:
        node = session.get(Node, name, with_for_update=True)
        if node is None or node.availability != Availability.JOINING:
            return
        if why is None:
            session.delete(node)  # it has a row by its own name, at the next look
        else:
            node.availability, node.note, node.sealed = Availability.FAILED, why, None


def activate(machines: Machines, *, name: str) -> None:
    machines.open(name)


def remove(platform: Platform, machines: Machines, *, name: str) -> None:
    machines.forget(name)
    with platform.database.transaction() as session:
        node = session.get(Node, name)
        if node is not None:
            session.delete(node)  # the row itself: a statement would tell nobody who follows it


def _here(name: str) -> sa.ColumnElement[bool]:
    """Replicas that serve or will, on this machine."""
    gone = (ReplicaState.GONE, ReplicaState.DRAINING, ReplicaState.BACKOFF)
    return sa.and_(Replica.node == name, Replica.state.not_in(gone))


def _restart_all(session: Session, name: str) -> list[str]:
    query = sa.select(App.id).join(Replica, Replica.app_id == App.id).where(_here(name), App.wanted == Wanted.RUNNING)
    return [
        job_id
        for app_id in session.scalars(query.distinct().order_by(App.id))
        if (job_id := enqueue(
            session, kind="app.restart", queue="deploys", key=app_key(app_id), args={"app_id": app_id}
        )) is not None
    ]  # fmt: skip


def _under_way(platform: Platform, jobs: list[str]) -> bool:
    with platform.database.reading() as session:
        query = sa.select(sa.func.count()).select_from(Job).where(Job.id.in_(jobs), Job.state.in_(OPEN))
        return bool(session.scalar(query))


def _apps_on(platform: Platform, name: str) -> list[str]:
    with platform.database.reading() as session:
        query = sa.select(App.slug).join(Replica, Replica.app_id == App.id).where(_here(name))
        return sorted(set(session.scalars(query)))


def _set(session: Session, name: str, availability: Availability) -> None:
    node = session.get(Node, name)
    if node is not None:
        node.availability, node.note = availability, None
