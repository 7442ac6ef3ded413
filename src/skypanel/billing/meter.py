"""What applications used in an hour, read from what was recorded: replicas, plans, slugs, log volumes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.core.hours import HOUR, seconds
from skypanel.billing.core.rating import Line, Served, Stored, Terms, rate
from skypanel.billing.models import LogVolume
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Replica


@dataclass(frozen=True, slots=True)
class Metered:
    """What metering knows of an application."""

    id: str
    organization_id: str
    deleted_at: datetime | None


def apps_of_hour(session: Session, hour: datetime, *, after: tuple[str, str], limit: int) -> Sequence[Metered]:
    """Those that may have been there in the hour, by (organization, id), behind `after`. One that was made later has
    used nothing, and is asked all the same: when the clock is set back, it runs before it was made."""
    query = (
        sa.select(App.id, App.organization_id, App.deleted_at)
        .where(
            sa.tuple_(App.organization_id, App.id) > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])),
            sa.or_(App.deleted_at.is_(None), App.deleted_at > hour),
        )
        .order_by(App.organization_id, App.id)
        .limit(limit)
    )
    return [Metered(*row) for row in session.execute(query)]


def rate_hour(session: Session, hour: datetime, apps: Sequence[Metered]) -> Mapping[str, tuple[Line, ...]]:
    """App -> its lines; those that used nothing are missing. Four queries for any number of applications."""
    ids = [app.id for app in apps]
    end = hour + HOUR
    served, terms = served_in(session, hour, end, apps), terms_of(session, ids, before=end)
    stored, volumes = _stored(session, hour, apps), _volumes(session, hour, ids)
    found = {}
    for app in apps:
        logged = volumes.get(app.id, 0) if app.deleted_at is None or app.deleted_at > hour else 0
        lines = rate(seconds(hour), served[app.id], terms[app.id], stored[app.id], logged)
        if lines:
            found[app.id] = lines
    return found


def served_in(session: Session, start: datetime, end: datetime, apps: Sequence[Metered]) -> Mapping[str, list[Served]]:
    """App -> its replicas of that time, each from its first to its last paid second, or to `end`."""
    ends = _ends(apps, end)
    query = sa.select(
        Replica.app_id, Replica.metered_from, Replica.metered_until, Replica.plan_slug, Replica.price_per_hour_micro
    ).where(
        Replica.app_id.in_(list(ends)),
        Replica.metered_from < end,
        sa.or_(Replica.metered_until.is_(None), Replica.metered_until > start),
    )
    found = defaultdict(list)
    for app_id, first, last, plan, price in session.execute(query):
        assert first is not None  # the query says so
        until = ends[app_id] if last is None else min(ends[app_id], seconds(last))
        found[app_id].append(Served(seconds(first), until, plan, price))
    return found


def _ends(apps: Sequence[Metered], end: datetime) -> Mapping[str, int]:
    """Until when each can have used anything."""
    return {app.id: seconds(end if app.deleted_at is None else min(end, app.deleted_at)) for app in apps}


def terms_of(session: Session, apps: Sequence[str], *, before: datetime) -> Mapping[str, list[Terms]]:
    """App -> its plans up to then, oldest first."""
    query = (
        sa.select(
            PlanPeriod.app_id, PlanPeriod.since, PlanPeriod.plan_slug, PlanPeriod.storage_price_micro,
            PlanPeriod.log_price_micro,
        )
        .where(PlanPeriod.app_id.in_(apps), PlanPeriod.since < before)
        .order_by(PlanPeriod.app_id, PlanPeriod.number)
    )  # fmt: skip
    found = defaultdict(list)
    for app_id, since, plan, storage_price, log_price in session.execute(query):
        found[app_id].append(Terms(seconds(since), plan, storage_price, log_price))
    return found


def _stored(session: Session, hour: datetime, apps: Sequence[Metered]) -> Mapping[str, list[Stored]]:
    """App -> its slugs that were kept in the hour."""
    end = hour + HOUR
    ends = _ends(apps, end)
    query = sa.select(Slug.app_id, Slug.created_at, Slug.removed_at, Slug.size_bytes).where(
        Slug.app_id.in_(list(ends)), Slug.created_at < end, sa.or_(Slug.removed_at.is_(None), Slug.removed_at > hour)
    )
    found = defaultdict(list)
    for app_id, made, removed, size in session.execute(query):
        until = ends[app_id] if removed is None else min(ends[app_id], seconds(removed))
        found[app_id].append(Stored(seconds(made), until, size))
    return found


def _volumes(session: Session, hour: datetime, apps: Sequence[str]) -> Mapping[str, int]:
    query = sa.select(LogVolume.app_id, LogVolume.bytes).where(LogVolume.app_id.in_(apps), LogVolume.hour == hour)
    return dict(session.execute(query).all())
