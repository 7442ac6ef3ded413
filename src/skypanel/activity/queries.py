"""Reads of the activity feed. The organization comes from a viewer: rooms above pass `viewer.organization_id`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.models import Activity
from skypanel.db import Session
from skypanel.kit.paging import Page, decode_cursor, encode_cursor


@dataclass(frozen=True)
class ActivityFilter:
    """None: not filtered by. `verb` matches itself or, ending in a dot, all that begin with it (`app.`)."""

    verb: str | None = None
    actor: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_activity(
    session: Session, *, organization_id: str, wanted: ActivityFilter, limit: int, cursor: str | None
) -> Page[Activity]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = (
        sa.select(Activity)
        .where(Activity.organization_id == organization_id, *_conditions(wanted))
        .order_by(Activity.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Activity.id < str(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def _conditions(wanted: ActivityFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.verb is not None:
        family = wanted.verb.endswith(".")
        same, begins = Activity.verb == wanted.verb, Activity.verb.startswith(wanted.verb, autoescape=True)
        conditions.append(begins if family else same)
    if wanted.actor is not None:
        conditions.append(Activity.actor == wanted.actor)
    if wanted.object_type is not None:
        conditions.append(Activity.object_type == wanted.object_type)
    if wanted.object_id is not None:
        conditions.append(Activity.object_id == wanted.object_id)
    if wanted.since is not None:
        conditions.append(Activity.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(Activity.created_at < wanted.until)
    return conditions
