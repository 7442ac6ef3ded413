"""Reads of deployments, replicas and runs, of an app that the caller may see (`apps.queries.get_app`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import IN_PROGRESS, Deployment, DeploymentStage, Replica, ReplicaState, Run
from skypanel.errors import NotFound
from skypanel.kit.paging import Page, decode_cursor, encode_cursor


def list_deployments(session: Session, *, app: App, limit: int, cursor: str | None) -> Page[Deployment]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = (
        sa.select(Deployment).where(Deployment.app_id == app.id).order_by(Deployment.version.desc()).limit(limit + 1)
    )
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Deployment.version < int(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].version) if len(rows) > limit else None)


def get_deployment(session: Session, *, app: App, version: int) -> Deployment:
    """Raises NotFound."""
    query = sa.select(Deployment).where(Deployment.app_id == app.id, Deployment.version == version)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"{app.slug} has no version {version}.", code="deployment_not_found")
    return found


def active_deployment(session: Session, *, app: App) -> Deployment | None:
    """The one that is queued or on its way, the newest of several."""
    query = (
        sa.select(Deployment)
        .where(Deployment.app_id == app.id, Deployment.status.in_(IN_PROGRESS))
        .order_by(Deployment.version.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def stages_of(session: Session, deployment_ids: Iterable[str]) -> dict[str, list[DeploymentStage]]:
    """Stages by deployment, in the order they run."""
    ids = list(deployment_ids)
    stages: dict[str, list[DeploymentStage]] = {deployment_id: [] for deployment_id in ids}
    query = sa.select(DeploymentStage).where(DeploymentStage.deployment_id.in_(ids)).order_by(DeploymentStage.position)
    for stage in session.scalars(query):
        stages[stage.deployment_id].append(stage)
    return stages


def slugs_of(session: Session, slug_ids: Iterable[str | None]) -> dict[str, Slug]:
    ids = {slug_id for slug_id in slug_ids if slug_id is not None}
    return {slug.id: slug for slug in session.scalars(sa.select(Slug).where(Slug.id.in_(ids)))} if ids else {}


def replicas_of(session: Session, *, app: App) -> list[Replica]:
    """Replicas that are not gone, by process type and position."""
    query = (
        sa.select(Replica)
        .where(Replica.app_id == app.id, Replica.state != ReplicaState.GONE)
        .order_by(Replica.process_type, Replica.position, Replica.created_at)
    )
    return list(session.scalars(query))


def versions_of(session: Session, deployment_ids: Iterable[str]) -> dict[str, int]:
    """Version by deployment."""
    query = sa.select(Deployment.id, Deployment.version).where(Deployment.id.in_(set(deployment_ids)))
    return dict(session.execute(query).all())


def running_replicas(session: Session, app_ids: Sequence[str]) -> dict[str, int]:
    """Healthy web replicas by app; apps without any are missing."""
    query = (
        sa.select(Replica.app_id, sa.func.count())
        .where(Replica.app_id.in_(app_ids), Replica.process_type == "web", Replica.state == ReplicaState.HEALTHY)
        .group_by(Replica.app_id)
    )
    return dict(session.execute(query).all())


def get_run(session: Session, *, app: App, run_id: str) -> Run:
    """Raises NotFound."""
    run = session.get(Run, run_id)
    if run is None or run.app_id != app.id:
        raise NotFound(f"{app.slug} has no run {run_id!r}.", code="run_not_found")
    return run
