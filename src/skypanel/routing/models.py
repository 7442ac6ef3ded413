"""What a cluster's ingress nodes follow: the routes, each with the revision of its last change, and the nodes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base

ROUTES, EDGES = "routes", "edges"  # topics


class RouteRevision(Base):
    """One row: the newest revision. Locked by who changes a route, so that revisions are committed in their order."""

    __tablename__ = "route_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class PublishedRoute(Base):
    __tablename__ = "published_routes"

    key: Mapped[str] = mapped_column(String(36), primary_key=True)  # the application's id
    revision: Mapped[int] = mapped_column(BigInteger, index=True)
    content: Mapped[str | None] = mapped_column(Text)  # the route as JSON; None: there is none any more
    fingerprint: Mapped[str | None] = mapped_column(String(64))

    def topics(self) -> tuple[str, ...]:
        return (ROUTES,)


class EdgeNode(Base):
    """An ingress node, as it said when it last asked."""

    __tablename__ = "edge_nodes"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    address: Mapped[str] = mapped_column(String(60))  # in the platform's own network
    probe_port: Mapped[int]
    http_port: Mapped[int]
    loaded: Mapped[int] = mapped_column(BigInteger)  # the revision its router serves by
    seen_at: Mapped[datetime]

    def topics(self) -> tuple[str, ...]:
        return (EDGES,)
