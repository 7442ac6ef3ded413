"""Reads of what was used: sums, an application's hours, the intervals behind one of them, and everything for an export.

All of it comes from what was charged; the intervals come from what was recorded, by the code that charged it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from skypanel.apps.models import App, PlanPeriod
from skypanel.apps.queries import ID_OR_SLUG
from skypanel.billing.core.hours import HOUR, HOUR_S
from skypanel.billing.models import UsageRecord
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Replica
from skypanel.errors import NotFound
from skypanel.kit.paging import Page, decode_cursor, encode_cursor, whole
from skypanel.orgs.access import Viewer
from skypanel.orgs.models import Organization

PORTION = 1_000  # rows in memory while exporting
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_HOUR = 70_000_000  # in the year 9955: what a cursor says is not believed


@dataclass(frozen=True)
class UsageFilter:
    """Hours that begin in [since, until). `app`: by id or slug; a deleted one by its id."""

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
class Kept:
    """A release that was kept for some of an hour."""

    slug_id: str
    size_bytes: int
    start: datetime
    end: datetime

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())


@dataclass(frozen=True)
class Interval:
    """A replica within an hour; `seconds x price / 3600` is its part of the amount, before rounding."""

    replica_id: str
    process: str
    plan: str
    price_per_hour_micro: int
    start: datetime
    end: datetime

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())

    @property
    def micro(self) -> Fraction:
        return Fraction(self.seconds * self.price_per_hour_micro, HOUR_S)


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
        Usage(app_id, plain_slug(slug), name, deleted is not None, plan, *map(int, sums))
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
        number, app_id, plan, revision = decode_cursor(cursor, size=4)
        moment = EPOCH + HOUR * max(0, min(whole(number), LAST_HOUR))
        query = query.where(sa.tuple_(*order) < _literals(order, (moment, str(app_id), str(plan), whole(revision))))
    rows = list(session.scalars(query))
    if len(rows) <= limit:
        return Page(rows, None)
    end = rows[limit - 1]
    return Page(rows[:limit], encode_cursor((end.hour - EPOCH) // HOUR, end.app_id, end.plan_slug, end.revision))


def _literals(columns: Sequence[Any], values: Sequence[object]) -> sa.ColumnElement[Any]:
    return sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(values, columns, strict=True)))


def plain_slug(slug: str) -> str:
    """As it was before a deletion renamed it away."""
    return slug.rsplit("/", 1)[-1]


def slugs_of(session: Session, apps: Collection[str]) -> Mapping[str, str]:
    query = sa.select(App.id, App.slug).where(App.id.in_(apps))
    return {app_id: plain_slug(slug) for app_id, slug in session.execute(query)}


def app_ever(session: Session, viewer: Viewer, id_or_slug: str) -> App:
    """One that is deleted too, by its id: what it cost stays. Raises NotFound."""
    app = None
    if ID_OR_SLUG.fullmatch(id_or_slug):
        named = sa.or_(App.id == id_or_slug, App.slug == id_or_slug)
        app = session.scalars(
            sa.select(App).where(App.organization_id == viewer.organization_id, named)
        ).one_or_none()  # fmt: skip
    if app is None:
        raise NotFound(f"There is no application {id_or_slug!r} in this organization.", code="app_not_found")
    return app


def records_of_hour(session: Session, app: App, hour: datetime) -> Sequence[UsageRecord]:
    query = sa.select(UsageRecord).where(UsageRecord.app_id == app.id, UsageRecord.hour == hour)
    return list(session.scalars(query.order_by(UsageRecord.revision, UsageRecord.plan_slug)))


def intervals(session: Session, app: App, hour: datetime, *, now: datetime) -> Sequence[Interval]:
    """What ran in that hour up to now, oldest first: whole seconds, as they are charged."""
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
        begin, until = _within(hour, replica.metered_from, replica.metered_until, app, now)
        if begin < until:
            name = f"{replica.process_type}.{replica.position}"
            found.append(Interval(replica.id, name, replica.plan_slug, replica.price_per_hour_micro, begin, until))
    return found


def kept_in(session: Session, app: App, hour: datetime, *, now: datetime) -> Sequence[Kept]:
    """Releases whose storage that hour has to pay for, oldest first."""
    query = (
        sa.select(Slug)
        .where(
            Slug.app_id == app.id, Slug.created_at < hour + HOUR,
            sa.or_(Slug.removed_at.is_(None), Slug.removed_at > hour),
        )
        .order_by(Slug.created_at, Slug.id)
    )  # fmt: skip
    found = []
    for slug in session.scalars(query):
        begin, until = _within(hour, slug.created_at, slug.removed_at, app, now)
        if begin < until:
            found.append(Kept(slug.id, slug.size_bytes, begin, until))
    return found


def terms_in(session: Session, app: App, hour: datetime) -> Sequence[PlanPeriod]:
    """Plans of that hour with their prices, oldest first; the first one may have begun long before."""
    query = sa.select(PlanPeriod).where(PlanPeriod.app_id == app.id, PlanPeriod.since < hour + HOUR)
    periods = list(session.scalars(query.order_by(PlanPeriod.number)))
    ends = [*(period.since for period in periods[1:]), hour + HOUR]
    return [period for period, end in zip(periods, ends, strict=True) if end > hour]


def _within(
    hour: datetime, first: datetime, last: datetime | None, app: App, now: datetime
) -> tuple[datetime, datetime]:
    end = min(hour + HOUR, last or now, app.deleted_at or now, now)
    return max(hour, first).replace(microsecond=0), end.replace(microsecond=0)


@dataclass(frozen=True)
class Exported:
    record: UsageRecord
    organization: str
    organization_name: str
    app: str
    app_name: str


def exported(
    session: Session, wanted: UsageFilter, *, organization_id: str | None, after: Exported | None = None
) -> Sequence[Exported]:
    """A thousand rows behind `after`, oldest first; of every organization where none is given. Every portion may be
    read in a transaction of its own: what was charged stays as it is."""
    order = (UsageRecord.hour, UsageRecord.app_id, UsageRecord.plan_slug, UsageRecord.revision)
    query = (
        sa.select(UsageRecord, Organization.slug, Organization.name, App.slug, App.name)
        .join(App, App.id == UsageRecord.app_id)
        .join(Organization, Organization.id == UsageRecord.organization_id)
        .where(*_conditions(wanted))
        .order_by(*order)
        .limit(PORTION)
    )
    if organization_id is not None:
        query = query.where(UsageRecord.organization_id == organization_id)
    if after is not None:
        row = after.record
        query = query.where(
            UsageRecord.hour >= row.hour,  # for the index
            sa.tuple_(*order) > _literals(order, (row.hour, row.app_id, row.plan_slug, row.revision)),
        )
    return [
        Exported(record, organization, organization_name, plain_slug(app), app_name)
        for record, organization, organization_name, app, app_name in session.execute(query)
    ]


@dataclass(frozen=True)
class OrganizationUsage:
    organization: Organization
    replica_seconds: int
    log_bytes: int
    amount_micro: int


def usage_by_organization(session: Session, wanted: UsageFilter, *, limit: int) -> Sequence[OrganizationUsage]:
    """Dearest first."""
    amount = sa.func.sum(UsageRecord.amount_micro)
    query = (
        sa.select(
            Organization, sa.func.sum(UsageRecord.replica_seconds), sa.func.sum(UsageRecord.log_bytes), amount
        )
        .join(Organization, Organization.id == UsageRecord.organization_id)
        .join(App, App.id == UsageRecord.app_id)
        .where(*_conditions(wanted))
        .group_by(Organization.id)
        .order_by(amount.desc(), Organization.id)
        .limit(limit)
    )  # fmt: skip
    return [OrganizationUsage(each, *map(int, sums)) for each, *sums in session.execute(query)]


def total(session: Session, wanted: UsageFilter) -> int:
    """Of all organizations, in micro-units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(UsageRecord.amount_micro), 0)).join(
        App, App.id == UsageRecord.app_id
    )
    return int(session.scalar(query.where(*_conditions(wanted))) or 0)


def spent(session: Session, organization_id: str, *, since: datetime, until: datetime) -> int:
    """In hours that begin in [since, until), in micro-units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(UsageRecord.amount_micro), 0)).where(
        UsageRecord.organization_id == organization_id, UsageRecord.hour >= since, UsageRecord.hour < until
    )
    return int(session.scalar(query) or 0)


def spent_by_app(session: Session, app: App, *, since: datetime) -> int:
    """In hours from then on, in micro-units."""
    query = sa.select(sa.func.coalesce(sa.func.sum(UsageRecord.amount_micro), 0)).where(
        UsageRecord.app_id == app.id, UsageRecord.hour >= since
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
