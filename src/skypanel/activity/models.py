"""The activity feed: append-only, per organization: who, what, on what, when, from where."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.kit.ids import new_id


class Activity(Base):
    __tablename__ = "activity"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    actor: Mapped[str] = mapped_column(String(254))  # e-mail address, or "platform"
    verb: Mapped[str] = mapped_column(String(60))  # "app.created", "deployment.failed", "replica.restarted", …
    object_type: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(80))
    object_name: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)  # one sentence
    detail: Mapped[dict[str, Any]]
    address: Mapped[str | None] = mapped_column(String(60))
    created_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_activity_organization", "organization_id", "id"),
        Index("ix_activity_object", "object_id", "id"),
    )

    def topics(self) -> tuple[str, ...]:
        return f"organization:{self.organization_id}", f"app:{self.object_id}"
