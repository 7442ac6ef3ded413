"""Recording where a deployment is, by the table of allowed moves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from skypanel.apps.models import App, AppStatus
from skypanel.db import Session
from skypanel.deployments.models import IN_PROGRESS, MOVES, STAGES, Deployment, DeploymentStage, DeploymentStatus
from skypanel.deployments.platform import Platform
from skypanel.jobs import Cancelled, Lost

T = TypeVar("T")
_STATUS_OF_STAGE = {"fetch": DeploymentStatus.BUILDING, "build": DeploymentStatus.BUILDING}


def move(deployment: Deployment, status: DeploymentStatus) -> None:
    """Raises ValueError for a move that is not in the table."""
    if deployment.status == status:
        return
    if status not in MOVES[deployment.status]:
        raise ValueError(f"a deployment cannot go from {deployment.status} to {status}")
    deployment.status = status


def begin_stage(session: Session, deployment: Deployment, name: str, now: datetime) -> None:
    """Idempotent: a stage taken up again by another worker keeps the moment it began."""
    deployment.stage = name
    if deployment.status in IN_PROGRESS:
        move(deployment, _STATUS_OF_STAGE.get(name, DeploymentStatus.DEPLOYING))
    if deployment.started_at is None:
        deployment.started_at = now
    stage = session.get(DeploymentStage, (deployment.id, name))
    if stage is None:
        session.add(
            DeploymentStage(
                deployment_id=deployment.id, name=name, position=STAGES.index(name), status="running", started_at=now
            )
        )
    else:
        stage.status, stage.finished_at = "running", None


def end_stage(session: Session, deployment_id: str, name: str, status: str, now: datetime) -> None:
    stage = session.get(DeploymentStage, (deployment_id, name))
    if stage is not None and stage.finished_at is None:
        stage.status, stage.finished_at = status, now


def staged(platform: Platform, deployment_id: str, name: str, do: Callable[[], T]) -> T:
    """Records that the stage runs and how it ended; the app shows it while nothing else serves.
    Raises Cancelled when the deployment was cancelled or superseded before it began."""
    with platform.database.transaction() as session:
        deployment = session.get_one(Deployment, deployment_id, with_for_update=True)
        if deployment.finished_at is not None:
            raise Cancelled(deployment.job_id)
        begin_stage(session, deployment, name, platform.clock.now())
        app = session.get_one(App, deployment.app_id)
        if app.status != AppStatus.RUNNING and app.deleted_at is None:
            building = deployment.status == DeploymentStatus.BUILDING
            app.status = AppStatus.BUILDING if building else AppStatus.DEPLOYING
            app.status_reason = None
    outcome: str | None = "failed"
    try:
        result = do()
        outcome = "done"
        return result
    except Lost:
        outcome = None  # another worker is in this stage by now
        raise
    except Cancelled:
        outcome = "cancelled"
        raise
    finally:
        if outcome is not None:
            with platform.database.transaction() as session:
                end_stage(session, deployment_id, name, outcome, platform.clock.now())


def change(platform: Platform, deployment_id: str, edit: Callable[[Session, Deployment, App], None]) -> None:
    """One transaction on a deployment and its app, alone: what people ask of it meanwhile waits."""
    with platform.database.transaction() as session:
        deployment = session.get_one(Deployment, deployment_id, with_for_update=True)
        edit(session, deployment, session.get_one(App, deployment.app_id))
