"""What HTTP keeps between requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base


class IdempotentRequest(Base):
    """A POST with an `Idempotency-Key` and what it was answered with, encrypted (answers may hold secrets)."""

    __tablename__ = "idempotent_requests"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of user, organization, method, path and key
    fingerprint: Mapped[str] = mapped_column(String(64))  # SHA-256 of query and body
    response: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotent_requests_created_at", "created_at"),)
