"""Deployments, their stages, replicas and one-off runs; the states and who may move them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.kit.ids import new_id


class DeploymentStatus(StrEnum):
    QUEUED = "queued"
    BUILDING = "building"
    DEPLOYING = "deploying"
    RUNNING = "running"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"


STAGES = ("fetch", "build", "release", "start", "check", "switch", "drain")
IN_PROGRESS = (DeploymentStatus.QUEUED, DeploymentStatus.BUILDING, DeploymentStatus.DEPLOYING)

MOVES: dict[str, frozenset[str]] = {
    DeploymentStatus.QUEUED: frozenset({"building", "deploying", "superseded", "failed", "cancelled"}),
    DeploymentStatus.BUILDING: frozenset({"deploying", "failed", "cancelled"}),
    DeploymentStatus.DEPLOYING: frozenset({"running", "failed", "cancelled"}),
    DeploymentStatus.RUNNING: frozenset({"superseded"}),
    DeploymentStatus.SUPERSEDED: frozenset(),
    DeploymentStatus.FAILED: frozenset(),
    DeploymentStatus.CANCELLED: frozenset(),
}


class Kind(StrEnum):
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    ENV = "env"


class Deployment(Base):
    __tablename__ = "deployments"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20), default=DeploymentStatus.QUEUED)
    stage: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)  # one sentence a developer can act on
    reason_code: Mapped[str | None] = mapped_column(String(40))
    cause: Mapped[str] = mapped_column(String(40), default="api")  # "api", "push", "env change", …
    requested_by: Mapped[str | None] = mapped_column(String(254))
    job_id: Mapped[str | None] = mapped_column(String(64))

    branch: Mapped[str] = mapped_column(String(250), default="")
    commit: Mapped[str | None] = mapped_column(String(64))
    commit_message: Mapped[str | None] = mapped_column(Text)
    commit_author: Mapped[str | None] = mapped_column(String(250))
    slug_id: Mapped[str | None] = mapped_column(ForeignKey("slugs.id"))
    env_snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("env_snapshots.id"))
    restore_env: Mapped[bool] = mapped_column(default=False)

    rolled_back_from: Mapped[int | None]  # the version that served before a rollback
    source_version: Mapped[int | None]  # the version a rollback goes back to
    build_log_of: Mapped[str | None] = mapped_column(String(36))  # the deployment whose build log this one inherits
    replicas_restored: Mapped[int | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("app_id", "version"),
        Index("ix_deployments_app_status", "app_id", "status"),
    )

    def topics(self) -> tuple[str, ...]:
        return f"app:{self.app_id}", f"deployment:{self.id}"


class DeploymentStage(Base):
    """One named step of a deployment, with its times."""

    __tablename__ = "deployment_stages"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    position: Mapped[int]
    status: Mapped[str] = mapped_column(String(20))  # running, done, failed, cancelled
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    def topics(self) -> tuple[str, ...]:
        return (f"deployment:{self.deployment_id}",)


class ReplicaState(StrEnum):
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"  # died; will be started again at `retry_at`
    DRAINING = "draining"
    GONE = "gone"


RECHECK = sa.text("recheck_from IS NOT NULL")
SERVING = sa.text("metered_from IS NOT NULL AND metered_until IS NULL")


class Replica(Base):
    """One run of one process type at one index."""

    __tablename__ = "replicas"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)  # also the container's name
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    generation: Mapped[int]
    process_type: Mapped[str] = mapped_column(String(40))
    position: Mapped[int]  # 1 for web.1
    state: Mapped[str] = mapped_column(String(20))
    node: Mapped[str] = mapped_column(String(120))
    address: Mapped[str | None] = mapped_column(String(60))
    port: Mapped[int | None]
    restarts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)  # consecutive failed health checks
    last_failure: Mapped[str | None] = mapped_column(Text)
    retry_at: Mapped[datetime | None]
    drain_until: Mapped[datetime | None]
    plan_slug: Mapped[str] = mapped_column(String(40))
    price_per_hour_micro: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    # What is paid for: from when it was healthy and its release the current one, until it was told to leave or died.
    metered_from: Mapped[datetime | None]
    metered_until: Mapped[datetime | None]
    recheck_from: Mapped[datetime | None]  # hours from here on may have been charged without knowing of this
    created_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_replicas_app_state", "app_id", "state"),
        Index("ix_replicas_state", "state"),
        Index("ix_replicas_metered", "app_id", "metered_until"),
        Index("ix_replicas_serving", "organization_id", sqlite_where=SERVING, postgresql_where=SERVING),
        Index("ix_replicas_recheck", "app_id", sqlite_where=RECHECK, postgresql_where=RECHECK),
    )

    def topics(self) -> tuple[str, ...]:
        return f"app:{self.app_id}", f"organization:{self.organization_id}"


class Run(Base):
    """A one-off command in a fresh container of the current release."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), index=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    command: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[str | None] = mapped_column(String(254))
    status: Mapped[str] = mapped_column(String(20), default="queued")  # queued, running, exited, failed, cancelled
    exit_code: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
