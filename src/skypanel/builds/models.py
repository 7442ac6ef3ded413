"""Slugs: what a build made. Written once, never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.kit.ids import new_id


class Slug(Base):
    __tablename__ = "slugs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"))
    digest: Mapped[str] = mapped_column(String(80))  # "sha256:…" of the archive
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    layers: Mapped[list[str]]  # layer names below the builder's directory, topmost first
    toolchains: Mapped[list[str]]  # interpreter prefixes the replicas need, read-only
    process_types: Mapped[dict[str, str]]  # process type -> command, `release` among them
    config_vars: Mapped[dict[str, str]]  # defaults from bin/release; the app's own variables win
    buildpack: Mapped[str] = mapped_column(String(500))
    stack: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]  # retention took its files

    __table_args__ = (Index("ix_slugs_app", "app_id", "created_at"),)
