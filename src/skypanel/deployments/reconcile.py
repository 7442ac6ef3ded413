"""Compares everything that is wanted with everything that is there, on start, on events and every half minute, and
asks for mending where they differ. It only looks and asks; what it removes itself belongs to nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.ask_operation import ask_to_mend
from skypanel.deployments.models import IN_PROGRESS, Deployment, Replica, ReplicaState, Run
from skypanel.deployments.plan import Desired, RolloutPlan, formation_of, plan
from skypanel.deployments.platform import Platform
from skypanel.deployments.replicas import as_actual, holding, serving
from skypanel.deployments.revive import revive
from skypanel.deployments.route import route_of
from skypanel.deployments.run import container_of
from skypanel.deployments.status import WEB
from skypanel.drivers.runtime.port import Container, ContainerKind, ContainerStatus
from skypanel.kit.ids import short

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    mended: int = 0
    removed: int = 0


def reconcile(platform: Platform) -> Findings:
    # What is there is looked at before what is wanted: whatever comes into being in between is then no leftover.
    containers = {container.id: container for container in platform.runtime.list()}
    builds = platform.builder.builds()
    routes = platform.router.routes()
    with platform.database.reading() as session:
        known = _known_containers(session)
        differing = _apps_that_differ(session, platform, containers, routes)
        building = set(session.scalars(sa.select(Deployment.id).where(Deployment.status.in_(IN_PROGRESS))))
        routed = _may_have_a_route(session)
    removed = _remove_orphans(platform, containers.values(), known)
    for build_id in builds:
        if build_id not in building:
            platform.builder.clean(build_id)
            removed += 1
    for key in routes:
        if key not in routed:
            platform.router.remove(key)
            removed += 1
    with platform.database.transaction() as session:
        revived = revive(session, now=platform.clock.now())
        for app_id in differing:
            ask_to_mend(session, app_id)
    return Findings(len(differing) + revived, removed)


def exited(platform: Platform, container_ids: Iterable[str]) -> None:
    """Replicas among these that nobody has stopped: their apps are mended now."""
    with platform.database.transaction() as session:
        rows = sa.select(Replica.app_id).where(
            Replica.id.in_(list(container_ids)), Replica.state.in_((ReplicaState.HEALTHY, ReplicaState.UNHEALTHY))
        )
        for app_id in set(session.scalars(rows)):
            ask_to_mend(session, app_id)


def _known_containers(session: Session) -> set[str]:
    replicas = session.scalars(sa.select(Replica.id).where(Replica.state != ReplicaState.GONE))
    runs = session.scalars(sa.select(Run.id).where(Run.status.in_(("queued", "running"))))
    deployments = session.scalars(sa.select(Deployment.id).where(Deployment.status.in_(IN_PROGRESS)))
    return {*replicas, *(container_of(i) for i in runs), *(f"release-{short(i)}" for i in deployments)}


def _may_have_a_route(session: Session) -> set[str]:
    """Not what was deleted, nor what waits for its first deployment."""
    under_way = sa.select(Deployment.app_id).where(Deployment.status.in_(IN_PROGRESS))
    waits = sa.and_(App.status == AppStatus.CREATED, App.wanted == Wanted.RUNNING, App.id.not_in(under_way))
    return set(session.scalars(sa.select(App.id).where(App.deleted_at.is_(None), sa.not_(waits))))


def _apps_that_differ(
    session: Session, platform: Platform, containers: dict[str, Container], routes: Mapping[str, str]
) -> list[str]:
    """Apps with a replica that is not there, too few or too many of them, or another route than theirs. A fixed number
    of queries, however many apps there are. Replicas of a deployment under way are its job's business."""
    under_way = dict(
        session.execute(sa.select(Deployment.id, Deployment.app_id).where(Deployment.status.in_(IN_PROGRESS))).all()
    )
    busy = set(under_way.values())
    replicas: dict[str, list[Replica]] = {}
    for replica in session.scalars(
        sa.select(Replica).where(Replica.state.not_in((ReplicaState.GONE, ReplicaState.DRAINING)))
    ):
        if replica.deployment_id not in under_way:
            replicas.setdefault(replica.app_id, []).append(replica)
    current = (
        sa.select(App, Slug.process_types)
        .join(Deployment, Deployment.id == App.current_deployment_id)
        .join(Slug, Slug.id == Deployment.slug_id)
        .where(App.deleted_at.is_(None))
    )
    found = []
    for app, process_types in session.execute(current):
        mine = replicas.get(app.id, [])
        if (
            any(r.state in (ReplicaState.STARTING, ReplicaState.UNHEALTHY) for r in mine)
            or any(r.state == ReplicaState.HEALTHY and not _runs(r, containers.get(r.id)) for r in mine)
            or not _rollout(app, process_types, mine).empty
            or (app.id not in busy and not _route_is_right(platform, app, process_types, mine, routes))
        ):
            found.append(app.id)
    return found


def _route_is_right(
    platform: Platform,
    app: App,
    process_types: Mapping[str, str],
    replicas: Sequence[Replica],
    routes: Mapping[str, str],
) -> bool:
    web = formation_of(process_types, app.formation).get(WEB)
    route = route_of(platform, app, serving(replicas), web=web)
    return routes.get(app.id) == (None if route is None else platform.router.fingerprint(route))


def _rollout(app: App, process_types: Mapping[str, str], replicas: Iterable[Replica]) -> RolloutPlan:
    assert app.current_deployment_id is not None
    desired = Desired(app.current_deployment_id, app.generation, formation_of(process_types, app.formation))
    # One that waits in back-off holds its slot: the monitor wakes it when its time has come.
    actual = [holding(r) if r.state == ReplicaState.BACKOFF else as_actual(r) for r in replicas]
    return plan(desired if app.wanted == Wanted.RUNNING else None, actual)


def _runs(replica: Replica, container: Container | None) -> bool:
    return (
        container is not None and container.status == ContainerStatus.RUNNING and container.address == replica.address
    )


def _remove_orphans(platform: Platform, containers: Iterable[Container], known: set[str]) -> int:
    removed = 0
    for container in containers:
        # A build's containers are its builder's to remove, by the name of the build.
        if container.id in known or container.kind == ContainerKind.BUILD:
            continue
        log.warning("removing %s, which nothing of ours knows", container.id)
        platform.runtime.remove(container.id)
        removed += 1
    return removed
