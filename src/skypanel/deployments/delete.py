"""Removes everything of a deleted app but its history: deployments, activity and replicas' times stay for the bill."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.apps.models import App, AppStatus, EnvSnapshot, EnvVar
from skypanel.builds.models import Slug
from skypanel.deployments.models import Deployment, DeploymentStatus, Replica, ReplicaState, Run
from skypanel.deployments.platform import Platform
from skypanel.deployments.replicas import gone
from skypanel.deployments.stages import move
from skypanel.jobs import JobContext
from skypanel.kit.ids import short


def delete(ctx: JobContext, platform: Platform, *, app_id: str) -> None:
    """Every step may be repeated."""
    del ctx
    platform.router.remove(app_id)
    for container in platform.runtime.list():
        if container.app_id == app_id:
            platform.runtime.remove(container.id)
    platform.builder.remove_app(app_id)
    platform.source.remove(app_id)
    now = platform.clock.now()
    with platform.database.transaction() as session:
        for replica in session.scalars(
            sa.select(Replica).where(Replica.app_id == app_id, Replica.state != ReplicaState.GONE)
        ):
            gone(replica, at=now)
        session.execute(sa.delete(EnvVar).where(EnvVar.app_id == app_id))
        session.execute(sa.update(Deployment).where(Deployment.app_id == app_id).values(env_snapshot_id=None))
        session.execute(sa.delete(EnvSnapshot).where(EnvSnapshot.app_id == app_id))
        session.execute(sa.update(Slug).where(Slug.app_id == app_id, Slug.removed_at.is_(None)).values(removed_at=now))
        app = session.get_one(App, app_id)
        # A deployment that could no longer be stopped served for a moment.
        served = sa.select(Deployment).where(Deployment.app_id == app_id, Deployment.status == DeploymentStatus.RUNNING)
        for deployment in session.scalars(served):
            move(deployment, DeploymentStatus.SUPERSEDED)
        app.status, app.status_reason, app.current_deployment_id = AppStatus.STOPPED, None, None
        if not app.slug.startswith("deleted/"):
            app.slug = f"deleted/{short(app_id)}/{app.slug}"  # no valid slug, so the name is free again
        deployments = list(session.scalars(sa.select(Deployment.id).where(Deployment.app_id == app_id)))
        runs = list(session.scalars(sa.select(Run.id).where(Run.app_id == app_id)))
    platform.logs.drop(f"app:{app_id}")
    for deployment_id in deployments:
        platform.logs.drop(f"build:{deployment_id}")
    for run_id in runs:
        platform.logs.drop(f"run:{run_id}")
