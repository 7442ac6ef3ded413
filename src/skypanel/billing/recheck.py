"""Corrections: what began, ended or changed in an hour that had been charged already. That is a crash that was noticed
late, or anything at all after the clock was set back.

What was charged is rated again from what is recorded now, and the difference is entered: a crash is paid for up to the
moment the runtime saw, whenever anybody noticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR
from skypanel.apps.models import App
from skypanel.billing.charge import AUTHOR, alone, record_of
from skypanel.billing.core.hours import HOUR, hour_of
from skypanel.billing.core.rating import Line
from skypanel.billing.ledger import Entry, hold, post
from skypanel.billing.meter import Metered, rate_hour
from skypanel.billing.models import BillingHour, JournalKind, UsageRecord
from skypanel.billing.running_dry import refilled
from skypanel.db import Database, Session
from skypanel.deployments.models import Replica
from skypanel.kit.clock import Clock
from skypanel.orgs.models import Organization, OrganizationStatus

MARKED = App.recheck_from.is_not(None)
FIELDS = ("replica_seconds", "replica_micro", "byte_seconds", "storage_micro", "log_bytes", "log_micro")


@dataclass(frozen=True)
class Rechecker:
    database: Database
    clock: Clock
    currency: str

    def run(self) -> int:
        """How many hours of applications were corrected. Each application in a transaction of its own."""
        with self.database.transaction() as session:
            alone(session)
            _forget_what_is_to_come(session)
        with self.database.reading() as session:
            replicas = sa.select(Replica.app_id).where(Replica.recheck_from.is_not(None))
            apps = sorted({*session.scalars(replicas), *session.scalars(sa.select(App.id).where(MARKED))})
        hours, organizations = 0, set[str]()
        for app_id in apps:
            organization_id, corrected = self._one(app_id)
            hours += corrected
            organizations |= {organization_id} if corrected else set()
        if organizations:
            self._give_back(organizations)
        return hours

    def _give_back(self, organizations: set[str]) -> None:
        """Who was suspended over what had not run has everything back."""
        with self.database.reading() as session:
            query = sa.select(Organization.id).where(Organization.status == OrganizationStatus.SUSPENDED)
            suspended = organizations & set(session.scalars(query))
        for organization_id in sorted(suspended):
            with self.database.transaction() as session:
                hold(session, organization_id, currency=self.currency)
                organization, now = session.get_one(Organization, organization_id), self.clock.now()
                refilled(session, organization, by=PLATFORM_ACTOR, now=now, currency=self.currency)

    def _one(self, app_id: str) -> tuple[str, int]:
        """Its organization, and how many hours of it were corrected."""
        with self.database.transaction() as session:
            alone(session)
            organization_id = session.scalars(sa.select(App.organization_id).where(App.id == app_id)).one()
            hold(session, organization_id, currency=self.currency)  # before the app: a refill takes them in this order
            app = session.get_one(App, app_id, with_for_update=True)
            query = (
                sa.select(Replica).where(Replica.app_id == app_id, Replica.recheck_from.is_not(None)).with_for_update()
            )
            marked = [app, *session.scalars(query)]
            since = [each.recheck_from for each in marked if each.recheck_from is not None]
            if not since:
                return organization_id, 0
            first = hour_of(min(since))
            metered = Metered(app.id, app.organization_id, app.deleted_at)
            corrected = _correct(session, metered, first, currency=self.currency, now=self.clock.now())
            for each in marked:
                each.recheck_from = None
            return organization_id, corrected


def _correct(session: Session, app: Metered, first: datetime, *, currency: str, now: datetime) -> int:
    """Every hour of the application from `first` on that has been charged."""
    charged: dict[datetime, list[UsageRecord]] = {hour: [] for hour in _charged(session, app, first)}
    query = sa.select(UsageRecord).where(UsageRecord.app_id == app.id, UsageRecord.hour >= first)
    for row in session.scalars(query):
        charged[row.hour].append(row)
    billed = session.get_one(Organization, app.organization_id).billed
    corrected = 0
    for hour, rows in charged.items():
        lines = _differences(rows, rate_hour(session, hour, [app]).get(app.id, ()))
        if not lines:
            continue
        revision = 1 + max((row.revision for row in rows), default=0)
        amount = sum(line.amount_micro for line in lines)
        free = _was_free(rows, billed=billed)
        journal_id = None
        if amount and not free:
            entry = Entry(
                app.organization_id, JournalKind.CORRECTION, -amount,
                f"correction:{hour:%Y-%m-%dT%H}:{app.id}:{revision}",
                "what had run was not all known when it was charged", AUTHOR, hour,
            )  # fmt: skip
            journal_id = post(session, entry, currency=currency, now=now)
        records = [record_of(app, hour, line, revision=revision, journal_id=journal_id) for line in lines]
        session.execute(sa.insert(UsageRecord.__table__), records)  # type: ignore[arg-type]  # says FromClause
        corrected += 1
    return corrected


def _charged(session: Session, app: Metered, first: datetime) -> Sequence[datetime]:
    """Hours from `first` on in which the application has had its turn."""
    had = sa.tuple_(BillingHour.done_organization, BillingHour.done_app) >= sa.tuple_(
        sa.literal(app.organization_id), sa.literal(app.id)
    )
    query = sa.select(BillingHour.hour).where(
        BillingHour.hour >= first, sa.or_(BillingHour.finished_at.is_not(None), had)
    )
    return list(session.scalars(query.order_by(BillingHour.hour)))


def _forget_what_is_to_come(session: Session) -> None:
    """What happened in an hour that nobody has begun to charge is no case: its hour will see it."""
    newest = session.scalar(sa.select(sa.func.max(BillingHour.hour)))
    for table in (Replica, App):
        query = sa.update(table).where(table.recheck_from.is_not(None)).values(recheck_from=None)
        if newest is not None:
            query = query.where(table.recheck_from >= newest + HOUR)
        session.execute(query.execution_options(synchronize_session=False))


def _was_free(rows: Sequence[UsageRecord], *, billed: bool) -> bool:
    """As it was when the hour was charged; one that had nothing to pay says nothing about that."""
    if any(row.journal_id is not None for row in rows):
        return False
    return not billed or any(row.amount_micro for row in rows)


def _differences(rows: Sequence[UsageRecord], lines: Sequence[Line]) -> Sequence[Line]:
    """What has to be added to what was charged, by plan."""
    now: Mapping[str, Line] = {line.plan: line for line in lines}
    found = []
    for plan in sorted({row.plan_slug for row in rows} | set(now)):
        before = [sum(getattr(row, field) for row in rows if row.plan_slug == plan) for field in FIELDS]
        after = [getattr(now[plan], field) if plan in now else 0 for field in FIELDS]
        if before != after:
            found.append(Line(plan, *(b - a for a, b in zip(before, after, strict=True))))
    return found
