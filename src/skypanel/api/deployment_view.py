"""Deployments, replicas and runs as bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from skypanel.api.shapes import DeploymentBody, ReplicaBody, RunBody, StageBody
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Deployment, DeploymentStage, Replica, ReplicaState, Run
from skypanel.deployments.queries import slugs_of, stages_of, versions_of

Health = Literal["healthy", "unhealthy", "starting", "unknown"]
_HEALTH: dict[str, Health] = {
    ReplicaState.STARTING: "starting",
    ReplicaState.HEALTHY: "healthy",
    ReplicaState.UNHEALTHY: "unhealthy",
    ReplicaState.BACKOFF: "unhealthy",
}


def deployment_body(session: Session, deployment: Deployment) -> DeploymentBody:
    return deployment_bodies(session, [deployment])[0]


def deployment_bodies(session: Session, deployments: Sequence[Deployment]) -> list[DeploymentBody]:
    """Two queries for any number of them."""
    stages = stages_of(session, [deployment.id for deployment in deployments])
    slugs = slugs_of(session, [deployment.slug_id for deployment in deployments])
    return [_body(deployment, stages[deployment.id], slugs.get(deployment.slug_id or "")) for deployment in deployments]


def _body(row: Deployment, stages: Sequence[DeploymentStage], slug: Slug | None) -> DeploymentBody:
    return DeploymentBody.model_validate(
        {
            **{name: getattr(row, name) for name in DeploymentBody.model_fields if hasattr(row, name)},
            "buildpack": slug.buildpack if slug else None,
            "slug_size_bytes": slug.size_bytes if slug else None,
            "slug_digest": slug.digest if slug else None,
            "stages": [StageBody.model_validate(stage) for stage in stages],
        }
    )


def replica_bodies(session: Session, replicas: Sequence[Replica]) -> list[ReplicaBody]:
    versions = versions_of(session, [replica.deployment_id for replica in replicas])
    return [_replica(replica, versions[replica.deployment_id]) for replica in replicas]


def _replica(row: Replica, version: int) -> ReplicaBody:
    return ReplicaBody.model_validate(
        {
            "id": row.id,
            "name": f"{row.process_type}.{row.position}",
            "process_type": row.process_type,
            "version": version,
            "node": row.node,
            "state": row.state,
            "health": _HEALTH.get(row.state, "unknown"),
            "restarts": row.restarts,
            "last_failure": row.last_failure,
            "plan": row.plan_slug,
            "created_at": row.created_at,
            "started_at": row.started_at,
        }
    )


def run_body(run: Run) -> RunBody:
    return RunBody.model_validate(run)
