"""Applications: the desired state. Nothing here calls a driver."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.kit.ids import new_id


class AppStatus(StrEnum):
    CREATED = "created"
    BUILDING = "building"
    DEPLOYING = "deploying"
    RUNNING = "running"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    FAILED = "failed"  # the newest version never became healthy and no older one serves
    CRASHED = "crashed"  # it ran, and its replicas keep dying


class Wanted(StrEnum):
    """What the owner wants of the app, whatever is true at the moment."""

    RUNNING = "running"
    STOPPED = "stopped"
    SUSPENDED = "suspended"


RECHECK = sa.text("recheck_from IS NOT NULL")


class App(Base):
    __tablename__ = "apps"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(String(80))
    slug: Mapped[str] = mapped_column(String(80), unique=True)  # over all organizations; renamed away at deletion
    uid: Mapped[int] = mapped_column(unique=True)  # the user id its builds and replicas run as, its own alone
    git_url: Mapped[str] = mapped_column(String(2000))
    branch: Mapped[str] = mapped_column(String(250))  # "" means the remote's default branch
    buildpacks: Mapped[list[str]]  # empty means auto-detection; else short names or Git URLs, in order
    build_cache: Mapped[bool] = mapped_column(default=True)

    # The plan as it was when chosen: editing a plan does not change what existing applications pay.
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"))
    plan_slug: Mapped[str] = mapped_column(String(40))
    cpu_millis: Mapped[int]
    memory_mb: Mapped[int]
    disk_mb: Mapped[int]
    max_replicas: Mapped[int]
    price_per_hour_micro: Mapped[int] = mapped_column(BigInteger)
    storage_price_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    log_price_micro: Mapped[int] = mapped_column(BigInteger, default=0)

    formation: Mapped[dict[str, int]]  # process type -> wanted replicas; a type that is missing here wants one
    health_type: Mapped[str] = mapped_column(String(8), default="http")  # "http" or "tcp"
    health_path: Mapped[str] = mapped_column(String(500), default="/")
    health_interval_s: Mapped[int] = mapped_column(default=30)
    health_timeout_s: Mapped[int] = mapped_column(default=5)
    health_retries: Mapped[int] = mapped_column(default=3)

    status: Mapped[str] = mapped_column(String(20), default=AppStatus.CREATED)
    status_reason: Mapped[str | None] = mapped_column(Text)
    wanted: Mapped[str] = mapped_column(String(20), default=Wanted.RUNNING)
    generation: Mapped[int] = mapped_column(default=1)  # a restart raises it: replicas of older generations are rolled
    next_version: Mapped[int] = mapped_column(default=1)
    current_deployment_id: Mapped[str | None] = mapped_column(String(36))  # what serves, or would after a restart
    current_version: Mapped[int | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    recheck_from: Mapped[datetime | None]  # hours from here on may have been charged under another plan, or with slugs

    __table_args__ = (
        Index("ix_apps_organization", "organization_id", "deleted_at", "id"),
        Index("ix_apps_billing", "organization_id", "id"),
        Index("ix_apps_recheck", "id", sqlite_where=RECHECK, postgresql_where=RECHECK),
    )

    def topics(self) -> tuple[str, ...]:
        return f"app:{self.id}", f"organization:{self.organization_id}"


class PlanPeriod(Base):
    """Since when an application has a plan, and its prices then. Rows are only added."""

    __tablename__ = "plan_periods"

    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[datetime]
    plan_slug: Mapped[str] = mapped_column(String(40))
    price_per_hour_micro: Mapped[int] = mapped_column(BigInteger)
    storage_price_micro: Mapped[int] = mapped_column(BigInteger)
    log_price_micro: Mapped[int] = mapped_column(BigInteger)


class EnvVar(Base):
    """One variable; its value only encrypted (`apps.vault`)."""

    __tablename__ = "env_vars"

    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    def topics(self) -> tuple[str, ...]:
        return (f"app:{self.app_id}",)


class EnvSnapshot(Base):
    """All variables of an app as one release got them, one encrypted JSON object. Never updated but by key rotation."""

    __tablename__ = "env_snapshots"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), index=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    names: Mapped[list[str]]
    created_at: Mapped[datetime]


class BuildpackName(Base):
    """A short name and the public repository it stands for; an admin may edit them."""

    __tablename__ = "buildpack_names"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    git_url: Mapped[str] = mapped_column(String(500))

    __table_args__ = (UniqueConstraint("name"),)
