"""What the status of an app says, computed from what is true. The only writer besides the stages of a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.deployments.plan import formation_of
from skypanel.deployments.replicas import UP

WEB = "web"


def current_process_types(session: Session, app: App) -> Mapping[str, str]:
    """Of the release that is current; empty before the first."""
    query = (
        sa.select(Slug.process_types)
        .join(Deployment, Deployment.slug_id == Slug.id)
        .where(Deployment.id == app.current_deployment_id)
    )
    return session.scalars(query).one_or_none() or {}


def web_wanted(session: Session, app: App) -> int | None:
    """How many web replicas the current release shall have; None when it has no such process type."""
    if app.current_deployment_id is None:
        return 1
    return formation_of(current_process_types(session, app), app.formation).get(WEB)


def settle(session: Session, app: App, *, why: str | None = None) -> None:
    """Sets the status of an app with a release to what its replicas are. `why`: said when none is there at all."""
    if app.current_deployment_id is None:
        return
    session.flush()
    query = sa.select(Replica).where(
        Replica.app_id == app.id,
        Replica.state.not_in((ReplicaState.GONE, ReplicaState.DRAINING)),
        Replica.deployment_id == app.current_deployment_id,
    )
    formation = formation_of(current_process_types(session, app), app.formation)
    app.status, app.status_reason = status_of(app, formation, list(session.scalars(query)), why=why)


def status_of(
    app: App, formation: Mapping[str, int], replicas: Sequence[Replica], *, why: str | None = None
) -> tuple[str, str | None]:
    """(status, reason). An app with web replicas stands by those; one without, by all its processes."""
    if app.wanted == Wanted.SUSPENDED:
        return AppStatus.SUSPENDED, None
    if app.wanted == Wanted.STOPPED or app.deleted_at is not None or not any(formation.values()):
        return AppStatus.STOPPED, None
    relevant = [r for r in replicas if not formation.get(WEB) or r.process_type == WEB]
    if any(r.state in UP for r in relevant):
        return AppStatus.RUNNING, None
    if not relevant:
        return AppStatus.CRASHED, why or "None of its replicas runs; they are being started again."
    worst = max(relevant, key=lambda r: r.restarts)
    reason = worst.last_failure or why or "it has not become healthy yet"
    return AppStatus.CRASHED, f"{worst.process_type}.{worst.position} keeps dying: {reason}"
