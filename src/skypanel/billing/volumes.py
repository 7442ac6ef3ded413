"""Bytes that applications log, added up by hour. Those that come when their hour is charged go to the next that is not:
they cost the same there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.billing.charge import alone
from skypanel.billing.core.hours import HOUR
from skypanel.billing.models import BillingHour, LogVolume
from skypanel.db import Session
from skypanel.db.upsert import upsert


def add_volumes(session: Session, volumes: Mapping[tuple[str, datetime], int]) -> None:
    """(application, hour) -> bytes. Those of applications that nobody knows are dropped."""
    alone(session)
    newest = session.scalar(sa.select(sa.func.max(BillingHour.hour)))
    known = set(session.scalars(sa.select(App.id).where(App.id.in_({app_id for app_id, _ in volumes}))))
    found: Counter[tuple[str, datetime]] = Counter()
    for (app_id, hour), size in volumes.items():
        if app_id in known:
            found[app_id, hour if newest is None else max(hour, newest + HOUR)] += size
    rows = [{"app_id": app_id, "hour": hour, "bytes": size} for (app_id, hour), size in sorted(found.items())]
    if not rows:
        return
    insert = upsert(session, LogVolume)
    added = {"bytes": LogVolume.bytes + insert.excluded.bytes}
    session.execute(insert.on_conflict_do_update(index_elements=["app_id", "hour"], set_=added), rows)
