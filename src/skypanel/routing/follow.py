"""What an ingress node is told when it asks: every route that changed behind the revision it serves by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.routing.models import EdgeNode, PublishedRoute, RouteRevision
from skypanel.routing.published import NOTHING, THE_ONE


@dataclass(frozen=True)
class Asked:
    """By one node: who it is and what it has."""

    name: str
    address: str
    probe_port: int
    http_port: int
    loaded: int  # 0: nothing yet


@dataclass(frozen=True)
class News:
    revision: int
    whole: bool  # these are all the routes there are
    routes: Sequence[tuple[str, str | None]]  # key, content


def news(session: Session, loaded: int) -> News | None:
    """None when there is nothing new. A node ahead of the database (restored from a backup) gets all of it."""
    revision = session.scalar(sa.select(RouteRevision.value).where(RouteRevision.id == THE_ONE)) or NOTHING
    if loaded == revision:
        return None
    whole = loaded == 0 or loaded > revision
    rows = sa.select(PublishedRoute.key, PublishedRoute.content)
    rows = rows.where(PublishedRoute.content.is_not(None)) if whole else rows.where(PublishedRoute.revision > loaded)
    return News(revision, whole, [(key, content) for key, content in session.execute(rows)])


def seen(session: Session, asked: Asked, now: datetime) -> None:
    row = session.get(EdgeNode, asked.name)
    if row is None:
        row = EdgeNode(name=asked.name)
        session.add(row)
    row.address, row.probe_port, row.http_port = asked.address, asked.probe_port, asked.http_port
    row.loaded, row.seen_at = asked.loaded, now


def left(session: Session, name: str, now: datetime) -> None:
    """Its connection broke: it counts again when it asks again."""
    row = session.get(EdgeNode, name)
    if row is not None:
        row.seen_at = now - timedelta(minutes=1)
