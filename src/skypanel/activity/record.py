"""The one way an activity row is written. Rows are never updated or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skypanel.activity.models import Activity
from skypanel.db import Session

PLATFORM = "platform"


@dataclass(frozen=True)
class Actor:
    """Who acts, and from which address: what the activity feed shows."""

    name: str
    address: str | None = None


PLATFORM_ACTOR = Actor(PLATFORM)


def record(
    session: Session,
    *,
    organization_id: str,
    by: Actor,
    verb: str,
    on: tuple[str, str, str],
    message: str,
    now: datetime,
    detail: dict[str, Any] | None = None,
) -> Activity:
    """Appends one row in the caller's transaction. `on` is (object type, id, name)."""
    object_type, object_id, object_name = on
    row = Activity(
        organization_id=organization_id,
        actor=by.name,
        verb=verb,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name,
        message=message,
        detail=detail or {},
        address=by.address,
        created_at=now,
    )
    session.add(row)
    return row
