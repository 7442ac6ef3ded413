"""Organizations, their members, invitations, and the plans they may choose."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.kit.ids import new_id


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class OrganizationStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Organization(Base):
    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    status: Mapped[str] = mapped_column(String(20), default=OrganizationStatus.ACTIVE)
    max_apps: Mapped[int | None]  # None: the platform's setting holds
    billed: Mapped[bool] = mapped_column(default=True)  # its wallet pays for what it uses
    created_at: Mapped[datetime]

    def topics(self) -> tuple[str, ...]:
        return f"organization:{self.id}", f"wallet:{self.id}"  # its status is the wallet's too


class Membership(Base):
    __tablename__ = "memberships"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]


class Invitation(Base):
    """An invitation by e-mail address; its token is shown once and only its SHA-256 is kept."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Plan(Base):
    """What a replica may use and costs. Applications keep their own copy of the price (`apps.models`)."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(80))
    cpu_millis: Mapped[int]
    memory_mb: Mapped[int]
    disk_mb: Mapped[int]
    max_replicas: Mapped[int]
    price_per_hour_micro: Mapped[int] = mapped_column(BigInteger)  # micro-units of the currency per replica-hour
    storage_price_micro: Mapped[int] = mapped_column(BigInteger, default=0)  # per GB-hour
    log_price_micro: Mapped[int] = mapped_column(BigInteger, default=0)  # per GB
    features: Mapped[list[str]]
    position: Mapped[int] = mapped_column(default=0)
    retired_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("slug"),)
