"""Reads of what was used: sums, an application's hours, the intervals behind one of them, and everything for an export.

All of it comes from what was charged; the intervals come from what was recorded, by the code that charged it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.billing.core.hours import HOUR
from skypanel.billing.models import UsageRecord
from skypanel.db import Session
from skypanel.deployments.models import Replica
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.models import Organization

PORTION = 1_000  # rows in memory while exporting


@dataclass(frozen=True)
class UsageFilter:
    """Hours that begin in [since, until). `app`: by id or slug, as long as it is there by id alone afterwards."""

    since: datetime | None = None
    until: datetime | None = None
    app: str | None = None
    plan: str | None = None


@dataclass(frozen=True)
class Usage:
    """Sums, corrections included. Amounts in micro-units."""

    app_id: str
    app: str
    name: str
    deleted: bool
    plan: str
    hours: int  # in which anything was used
    replica_seconds: int
    replica_micro: int
    byte_seconds: int
    storage_micro: int
    log_bytes: int
    log_micro: int
    amount_micro: int


@dataclass(frozen=True)
class Interval:
    """A replica within an hour; `seconds x price / 3600` is its part of the amount, before rounding."""

    replica_id: str
    process: str
    plan: str
    price_per_hour_micro: int
    start: datetime
    end: datetime
    version: str = ""

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())


SUMS = [
    sa.func.sum(column)
    for column in (
        UsageRecord.replica_seconds, UsageRecord.replica_micro, UsageRecord.byte_seconds, UsageRecord.storage_micro,
        UsageRecord.log_bytes, UsageRecord.log_micro, UsageRecord.amount_micro,
    )
]  # fmt: skip


def usage_by_app(session: Session, organization_id: str, wanted: UsageFilter) -> Sequence[Usage]:
    """A row for each application and plan, dearest first."""
    query = (
        sa.select(
            App.id, App.slug, App.name, App.deleted_at, UsageRecord.plan_slug,
            sa.func.count(sa.distinct(UsageRecord.hour)), *SUMS,
        )
        .join(App, App.id == UsageRecord.app_id)
        .where(UsageRecord.organization_id == organization_id, *_conditions(wanted))
        .group_by(App.id, App.slug, App.name, App.deleted_at, UsageRecord.plan_slug)
        .order_by(sa.func.sum(UsageRecord.amount_micro).desc(), App.id, UsageRecord.plan_slug)
    )  # fmt: skip
    return [
        Usage(app_id, slug, name, deleted is not None, plan, *map(int, sums))
        for app_id, slug, name, deleted, plan, *sums in session.execute(query)
    ]


def hours_of_app(
    session: Session, organization_id: str, wanted: UsageFilter, *, limit: int, cursor: str | None
) -> Page[UsageRecord]:
    """Newest first, each revision a row. Raises ValueError for a cursor that is none of ours."""
    order = (UsageRecord.hour, UsageRecord.app_id, UsageRecord.plan_slug, UsageRecord.revision)
    query = (
        sa.select(UsageRecord)
        .join(App, App.id == UsageRecord.app_id)
        .where(UsageRecord.organization_id == organization_id, *_conditions(wanted))
        .order_by(*(column.desc() for column in order))
        .limit(limit + 1)
    )
    if cursor is not None:
        moment, *rest = decode_cursor(cursor, size=4)
        last = (datetime.fromtimestamp(float(moment), UTC), *rest)
        values = [sa.literal(value, column.type) for value, column in zip(last, order, strict=True)]
        query = query.where(sa.tuple_(*order) < sa.tuple_(*values))
    rows = list(session.scalars(query))
    if len(rows) <= limit:
        return Page(rows, None)
    end = rows[limit - 1]
    return Page(rows[:limit], encode_cursor(end.hour.timestamp(), end.app_id, end.plan_slug, end.revision))


def intervals(session: Session, app: App, hour: datetime) -> Sequence[Interval]:
    """What ran in that hour, oldest first: whole seconds, as they are charged."""
    end = hour + HOUR
    query = (
        sa.select(Replica)
        .where(
            Replica.app_id == app.id, Replica.metered_from < end,
            sa.or_(Replica.metered_until.is_(None), Replica.metered_until > hour),
        )
        .order_by(Replica.metered_from, Replica.id)
    )  # fmt: skip
    found = []
    for replica in session.scalars(query):
        assert replica.metered_from is not None
        begin = max(hour, replica.metered_from).replace(microsecond=0)
        until = min(end, replica.metered_until or end, app.deleted_at or end).replace(microsecond=0)
        if begin < until:
            name = f"{replica.process_type}.{replica.position}"
            found.append(Interval(replica.id, name, replica.plan_slug, replica.price_per_hour_micro, begin, until))
    return found


@dataclass(frozen=True)
class Exported:
    record: UsageRecord
    organization: str
    app: str


def exported(session: Session, wanted: UsageFilter, *, organization_id: str | None) -> Iterator[Exported]:
    """Every row, oldest first; of every organization where none is given. A thousand rows are in memory."""
    query = (
        sa.select(UsageRecord, Organization.slug, App.slug)
        .join(App, App.id == UsageRecord.app_id)
        .join(Organization, Organization.id == UsageRecord.organization_id)
        .where(*_conditions(wanted))
        .order_by(UsageRecord.hour, UsageRecord.app_id, UsageRecord.plan_slug, UsageRecord.revision)
        .execution_options(yield_per=PORTION)
    )
    if organization_id is not None:
        query = query.where(UsageRecord.organization_id == organization_id)
    for record, organization, app in session.execute(query):
        yield Exported(record, organization, app)


def spent(session: Session, organization_id: str, *, since: datetime, until: datetime) -> int:
    """In hours that begin in [since, until), in micro-units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(UsageRecord.amount_micro), 0)).where(
        UsageRecord.organization_id == organization_id, UsageRecord.hour >= since, UsageRecord.hour < until
    )
    return int(session.scalar(query) or 0)


def _conditions(wanted: UsageFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(UsageRecord.hour >= wanted.since)
    if wanted.until is not None:
        conditions.append(UsageRecord.hour < wanted.until)
    if wanted.app is not None:
        conditions.append(sa.or_(App.id == wanted.app, App.slug == wanted.app))
    if wanted.plan is not None:
        conditions.append(UsageRecord.plan_slug == wanted.plan)
    return conditions
