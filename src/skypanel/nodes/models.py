"""What is known of each machine."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base

NODES = "nodes"  # topic


class Availability(StrEnum):
    ACTIVE = "active"
    DRAINING = "draining"  # nothing new is placed there, applications move away
    DRAINED = "drained"
    JOINING = "joining"  # a row by the name of its host, until it is a machine of the cluster
    FAILED = "failed"  # to join; the note says why


class Node(Base):
    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    address: Mapped[str] = mapped_column(String(60))
    manager: Mapped[bool]
    availability: Mapped[str] = mapped_column(String(20), default=Availability.ACTIVE)
    note: Mapped[str | None] = mapped_column(Text)  # what stands in the way of what was asked for
    cpu_millis: Mapped[int]
    memory_mb: Mapped[int]
    seen_at: Mapped[datetime]  # heartbeat
    lost_at: Mapped[datetime | None]
    sealed: Mapped[str | None] = mapped_column(Text)  # how to get there, encrypted; until it has been used
    job_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]

    def topics(self) -> tuple[str, ...]:
        return (NODES,)
