"""Bodies of applications and what belongs to them, as programs see them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from skypanel.http.schema import Amount, ResponseBody, Timestamp

Buildpack = Annotated[
    str | list[str],
    Field(description='`"auto"`, a short name, a Git URL, or a list of the latter two in order', examples=["auto"]),
]


class PlanBody(ResponseBody):
    slug: str = Field(examples=["hobby"])
    name: str
    price_per_hour: Amount = Field(description="Per replica-hour; an application keeps prices of when it chose")
    price_per_month: Amount = Field(description="730 hours")
    storage_price: Amount = Field(description="Per GB (10^9 bytes) of kept releases and hour")
    log_price: Amount = Field(description="Per GB of what the application logs")
    currency: str = Field(examples=["USD"])
    cpu: float = Field(description="Cores per replica", examples=[0.5])
    memory_mb: int
    disk_mb: int
    max_replicas: int = Field(description="Of each process type")
    features: list[str]


class ReplicaCounts(ResponseBody):
    desired: int = Field(description="Wanted web replicas while the application runs")
    running: int = Field(description="Healthy web replicas now")
    max: int = Field(description="What the plan allows")


class HealthCheckBody(ResponseBody):
    type: Literal["http", "tcp"]
    path: str
    interval_s: int
    timeout_s: int
    retries: int


class AppBody(ResponseBody):
    id: str
    name: str
    slug: str
    status: Literal["created", "building", "deploying", "running", "stopped", "suspended", "failed", "crashed"]
    status_reason: str | None
    wanted: Literal["running", "stopped", "suspended"]
    url: str
    git_url: str
    branch: str = Field(description="Empty: the repository's default branch")
    buildpack: Buildpack
    build_cache: bool
    health_check: HealthCheckBody
    plan: PlanBody
    replicas: ReplicaCounts
    formation: dict[str, int] = Field(description="Wanted replicas of every process type")
    process_types: dict[str, str] = Field(description="Commands of the current release; empty before the first one")
    cost_per_hour: Amount = Field(description="Of all wanted replicas; zero while stopped or suspended")
    currency: str
    current_version: int | None
    created_at: Timestamp


class StageBody(ResponseBody):
    name: str = Field(examples=["build"])
    status: str = Field(examples=["done"], description="running, done, failed or cancelled")
    started_at: Timestamp
    finished_at: Timestamp | None


class DeploymentBody(ResponseBody):
    id: str
    version: int
    kind: Literal["deploy", "rollback", "env"]
    status: Literal["queued", "building", "deploying", "running", "superseded", "failed", "cancelled"]
    stage: str | None
    reason: str | None = Field(description="Why it failed: one sentence to act on")
    reason_code: str | None
    cause: str = Field(description="Why it was asked for", examples=["api", "push", "env change"])
    requested_by: str | None
    branch: str
    commit: str | None
    commit_message: str | None
    commit_author: str | None
    buildpack: str | None
    slug_size_bytes: int | None
    slug_digest: str | None
    rolled_back_from: int | None = Field(description="The version that served before a rollback")
    source_version: int | None = Field(description="The version a rollback goes back to")
    restore_env: bool
    replicas_restored: int | None
    duration_ms: int | None
    job_id: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    stages: list[StageBody]


class ReplicaBody(ResponseBody):
    id: str
    name: str = Field(examples=["web.1"])
    process_type: str
    version: int = Field(description="Of the deployment it runs")
    node: str
    state: Literal["starting", "healthy", "unhealthy", "backoff", "draining", "gone"]
    health: Literal["healthy", "unhealthy", "starting", "unknown"]
    restarts: int
    last_failure: str | None
    plan: str
    created_at: Timestamp
    started_at: Timestamp | None


class RunBody(ResponseBody):
    id: str
    command: str
    status: Literal["queued", "running", "exited", "failed", "cancelled"]
    exit_code: int | None
    reason: str | None
    requested_by: str | None
    job_id: str | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class AppAnswer(ResponseBody):
    app: AppBody


class AppJobAnswer(ResponseBody):
    """The application as it is wanted now, and the job that makes it so; null when there is nothing to do."""

    app: AppBody
    job_id: str | None


class JobAnswer(ResponseBody):
    job_id: str | None = Field(description="Null when the same work is already queued")


class DeploymentAnswer(ResponseBody):
    deployment: DeploymentBody


class DeploymentJobAnswer(ResponseBody):
    deployment: DeploymentBody
    job_id: str | None


class RunAnswer(ResponseBody):
    run: RunBody


class RunJobAnswer(ResponseBody):
    run: RunBody
    job_id: str | None
