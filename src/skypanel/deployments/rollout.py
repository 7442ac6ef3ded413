"""New replicas beside the old ones, checked, and the route moved: what deploy, rollback, environment change, scale
and restart have in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from skypanel.apps.models import Wanted
from skypanel.db import Session
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.health import Verdict, ask, asked_of, is_alive, running, why_crashed, why_not_started
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.plan import Desired, RolloutPlan, Slot, formation_of, plan
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import alive, as_actual, backends, new_replica
from skypanel.deployments.rest import ended_well, without_commands
from skypanel.deployments.route import CONFIRM_S, apply_route, route_of
from skypanel.deployments.status import WEB
from skypanel.drivers.runtime.port import ContainerKind, RuntimeFailed
from skypanel.jobs import JobContext

PARALLEL_STARTS = 4
CHECK_PAUSE_S = 0.01  # between two questions to a starting replica; grows to a quarter second
WORKER_SETTLES_S = 1.0  # a process without a port counts as healthy when it lives this long
ASKING_AT_ONCE = 8


def desired_of(release: Release) -> Desired:
    formation = formation_of(release.process_types, release.app.formation)
    return Desired(release.deployment.id, release.app.generation, formation)


def planned(session: Session, release: Release) -> RolloutPlan:
    return plan(desired_of(release), [as_actual(replica) for replica in alive(session, release.app.id)])


def choose_replicas(
    session: Session, platform: Platform, release: Release, *, skip: frozenset[Slot] = frozenset()
) -> list[str]:
    """Rows for every replica that is missing; their ids. `skip`: slots that are taken care of already."""
    now = platform.clock.now()
    return [
        new_replica(
            session,
            app=release.app,
            deployment=release.deployment,
            generation=release.app.generation,
            slot=slot,
            node=platform.runtime.node,
            now=now,
        ).id
        for slot in planned(session, release).start
        if slot not in skip
    ]


def starting(session: Session, release: Release) -> list[Replica]:
    query = sa.select(Replica).where(
        Replica.app_id == release.app.id,
        Replica.deployment_id == release.deployment.id,
        Replica.state == ReplicaState.STARTING,
    )
    return list(session.scalars(query.order_by(Replica.process_type, Replica.position)))


def start(ctx: JobContext, platform: Platform, release: Release, log: DeploymentLog) -> None:
    """Starts every replica in state `starting`. Raises DeployFailed `start_failed`."""
    with platform.database.reading() as session:
        replicas = starting(session, release)
    log(f"-----> Starting {', '.join(f'{r.process_type}.{r.position}' for r in replicas) or 'nothing new'}")
    ctx.check_cancelled()
    with ThreadPoolExecutor(PARALLEL_STARTS, thread_name_prefix="start") as pool:
        list(pool.map(lambda replica: start_one(platform, release, replica), replicas))


def start_one(platform: Platform, release: Release, replica: Replica) -> None:
    """Raises DeployFailed `start_failed`."""
    name = f"{replica.process_type}.{replica.position}"
    slot = Slot(replica.process_type, replica.position)
    size = max(1, desired_of(release).formation.get(replica.process_type, 1))
    care = release.care(platform, slot, size=size)
    command = release.process_types[replica.process_type]
    try:
        container = platform.runtime.start(release.spec(replica.id, ContainerKind.REPLICA, name, command, care=care))
    except RuntimeFailed as error:
        raise DeployFailed("start_failed", f"{name} could not be started: {error}") from error
    with platform.database.transaction() as session:
        row = session.get_one(Replica, replica.id)
        row.address, row.port, row.node = container.address, container.port, container.node or row.node
        row.started_at = container.started_at or platform.clock.now()
        if row.metered_from is None:  # made under another plan, perhaps: it costs what its limits do
            row.plan_slug, row.price_per_hour_micro = release.app.plan_slug, release.app.price_per_hour_micro
    replica.address, replica.port, replica.started_at = row.address, row.port, row.started_at


def check(ctx: JobContext, platform: Platform, release: Release, log: DeploymentLog) -> None:
    """Waits until every new replica is healthy. Raises DeployFailed with the reason and its last lines."""
    with platform.database.reading() as session:
        waiting = starting(session, release)
    began = time.monotonic()
    deadline = began + platform.rules.health_deadline_s
    pause = CHECK_PAUSE_S
    while waiting:
        ctx.check_cancelled()
        waiting = without_commands(platform, release, waiting, log)
        verdicts = list(zip(waiting, _look_at_all(platform, release, waiting, began), strict=True))
        healthy = [replica for replica, verdict in verdicts if verdict.healthy]
        if healthy:
            _mark_healthy(platform, healthy)
            log(
                "".join(f"       {r.process_type}.{r.position} is healthy" for r in healthy[:1])
                if len(healthy) == 1
                else f"       {len(healthy)} replicas are healthy"
            )
        left = [(replica, verdict) for replica, verdict in verdicts if not verdict.healthy]
        if left and time.monotonic() > deadline:
            _give_up(platform, release, *left[0])
        waiting = [replica for replica, _ in left]
        if waiting:
            time.sleep(pause)
            pause = min(0.25, pause * 1.3)


def _look_at_all(platform: Platform, release: Release, replicas: Sequence[Replica], began: float) -> Sequence[Verdict]:
    """Beside each other: one that does not answer shall not keep the others from being asked."""
    if len(replicas) == 1:
        return [_look(platform, release, replicas[0], began)]
    with ThreadPoolExecutor(ASKING_AT_ONCE, thread_name_prefix="check") as pool:
        return list(pool.map(lambda replica: _look(platform, release, replica, began), replicas))


def _look(platform: Platform, release: Release, replica: Replica, began: float) -> Verdict:
    if replica.process_type == "web":
        verdict = ask(platform.probe, release.app, replica, **asked_of(platform, release.app))
        if verdict.healthy:
            return verdict
    else:
        verdict = Verdict(time.monotonic() - began >= WORKER_SETTLES_S, "it has just started")
    container = platform.runtime.get(replica.id)
    if ended_well(release, replica, container):
        return Verdict(False, "it has ended")
    if container is not None and container.displaced:
        start_one(platform, release, replica)
        return Verdict(False, "its machine was lost, and it was started on another one")
    if not running(container):
        reason = why_crashed(container, release.app, replica)
        raise DeployFailed("crashed_at_start", reason, evidence(platform, replica))
    return verdict


def evidence(platform: Platform, replica: Replica) -> tuple[str, ...]:
    lines = platform.runtime.last_lines(replica.id, 20)
    return tuple(f"{replica.process_type}.{replica.position} | {line}" for line in lines)


def _give_up(platform: Platform, release: Release, replica: Replica, verdict: Verdict) -> None:
    container = platform.runtime.get(replica.id)
    if container is not None and container.reason is not None:
        name = f"{replica.process_type}.{replica.position}"
        raise DeployFailed("not_placed", f"{name} could not be started: {container.reason}.")
    listening = tuple(platform.runtime.listening(replica.id))
    code, reason = why_not_started(release.app, replica, verdict, listening, platform.rules.health_deadline_s)
    raise DeployFailed(code, reason, evidence(platform, replica))


def _mark_healthy(platform: Platform, replicas: Sequence[Replica]) -> None:
    nodes = {replica.id: platform.runtime.get(replica.id) for replica in replicas} if platform.runtime.heals else {}
    with platform.database.transaction() as session:
        for replica in replicas:
            row = session.get_one(Replica, replica.id)
            row.state = ReplicaState.HEALTHY
            if (container := nodes.get(replica.id)) is not None:  # a cluster places it after it was started
                row.node = container.node or row.node


def switch(platform: Platform, release: Release, log: DeploymentLog) -> None:
    """The route points to this release's replicas only, and a request through it has been answered.
    Raises DeployFailed `route_failed`."""
    app = release.app
    with platform.database.reading() as session:
        keep = set(planned(session, release).keep)
        mine = {(r.address, r.port) for r in alive(session, app.id) if r.id in keep}
        targets = [backend for backend in backends(session, app.id) if (backend.address, backend.port) in mine]
    # An app that is being started again is `stopped` until its new version serves, and that is now.
    route = route_of(platform, app, targets, web=desired_of(release).formation.get(WEB), wanted=Wanted.RUNNING)
    apply_route(platform, app.id, route)
    if route is None or not targets:
        return
    if not platform.router.confirm(route, timeout_s=CONFIRM_S):
        raise DeployFailed(
            "route_failed", "The router did not take the new route in time; the old version keeps serving. Try again."
        )
    if app.health_type == "http":
        answer = platform.ask_through_router(route.hosts[0], app.health_path, app.health_timeout_s)
        if answer.status is None or not is_alive(answer.status):
            what = answer.error or f"it answered {answer.status}"
            raise DeployFailed("route_failed", f"The app is healthy, but not through the router: {what}.")
    log(f"-----> Requests go to {len(targets)} replica{'s' if len(targets) > 1 else ''} of this version")
