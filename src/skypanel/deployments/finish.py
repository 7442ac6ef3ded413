"""The end of a deployment that serves: states, lineage, activity; the old replicas are left to drain."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.guards import is_suspended
from skypanel.apps.models import App, Wanted
from skypanel.db import Session
from skypanel.deployments.drain import retire
from skypanel.deployments.models import Deployment, DeploymentStatus, Kind, Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.deployments.replicas import alive, serves
from skypanel.deployments.restore_env import restore_env
from skypanel.deployments.stages import begin_stage, end_stage, move
from skypanel.deployments.status import settle
from skypanel.deployments.suspend import put_to_rest
from skypanel.jobs import enqueue


def finish(session: Session, platform: Platform, deployment_id: str) -> None:
    """Runs exactly once, in one transaction with its own record."""
    now = platform.clock.now()
    deployment = session.get_one(Deployment, deployment_id)
    app = session.get_one(App, deployment.app_id, with_for_update=True)
    _supersede_older(session, deployment, now)
    move(deployment, DeploymentStatus.RUNNING)
    deployment.finished_at = now
    deployment.duration_ms = int((now - deployment.created_at).total_seconds() * 1000)
    app.current_deployment_id, app.current_version = deployment.id, deployment.version
    if app.wanted == Wanted.STOPPED and app.deleted_at is None:
        app.wanted = Wanted.RUNNING  # a deploy starts a stopped app; whoever asked to stop it meanwhile is next in line
    if app.wanted == Wanted.RUNNING and is_suspended(session, app.organization_id):
        put_to_rest(session, app)  # it was too far to be cancelled, and stopped when its organization was put to rest
    settle(session, app)
    if deployment.restore_env and deployment.env_snapshot_id is not None:
        restore_env(session, platform.vault, app=app, snapshot_id=deployment.env_snapshot_id, now=now)
    replicas = alive(session, app.id)
    serves((replica for replica in replicas if replica.deployment_id == deployment.id), now=now)
    old = [replica for replica in replicas if replica.deployment_id != deployment.id]
    if deployment.kind == Kind.ROLLBACK:
        deployment.replicas_restored = healthy_of(session, deployment.id)
    begin_stage(session, deployment, "drain", now)
    deployment.stage = None if not old else "drain"
    if not old:
        end_stage(session, deployment.id, "drain", "done", now)
    retire(session, platform, old, now=now)
    record(
        session,
        organization_id=app.organization_id,
        by=PLATFORM_ACTOR,
        verb="deployment.running",
        on=("app", app.id, app.slug),
        message=f"version {deployment.version} of {app.slug} is live",
        now=now,
        detail={"version": deployment.version, "kind": deployment.kind, "duration_ms": deployment.duration_ms},
    )
    enqueue(
        session,
        kind="app.retention",
        queue="upkeep",
        key=f"retention:{app.id}",
        dedup=f"retention:{app.id}",
        args={"app_id": app.id},
    )


def healthy_of(session: Session, deployment_id: str) -> int:
    query = sa.select(sa.func.count()).where(
        Replica.deployment_id == deployment_id, Replica.state == ReplicaState.HEALTHY
    )
    return session.scalar(query.select_from(Replica)) or 0


def _supersede_older(session: Session, deployment: Deployment, now: datetime) -> None:
    query = sa.select(Deployment).where(
        Deployment.app_id == deployment.app_id, Deployment.status == DeploymentStatus.RUNNING
    )
    for older in session.scalars(query):
        move(older, DeploymentStatus.SUPERSEDED)
        older.stage = None
        if older.finished_at is None:
            older.finished_at = now
