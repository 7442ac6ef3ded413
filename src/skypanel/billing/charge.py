"""The hourly run: every hour of every application once, however often it is begun, broken off or run beside itself.

Applications are taken in chunks; a chunk's usage, entries and the mark of how far the hour has come are one
transaction, one after the other. So whoever comes next goes on behind it, and who comes at the same time waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.apps.models import PlanPeriod
from skypanel.billing.core.hours import HOUR, hour_of
from skypanel.billing.core.rating import Line
from skypanel.billing.ledger import Entry, post_all
from skypanel.billing.meter import Metered, apps_of_hour, rate_hour
from skypanel.billing.models import BillingHour, JournalKind, UsageRecord
from skypanel.billing.running_dry import after_charge
from skypanel.db import Database, Session
from skypanel.db.changes import touch
from skypanel.deployments.models import Replica
from skypanel.kit.clock import Clock
from skypanel.orgs.models import Organization

CHUNK = 1_000
CHARGING_LOCK = 7_245_002  # any number: the key of PostgreSQL's advisory lock
LAG = timedelta(seconds=90)  # after an hour, for what is written down a moment late
AUTHOR = "platform"


@dataclass(frozen=True)
class Charger:
    database: Database
    clock: Clock
    currency: str
    chunk: int = CHUNK

    def run(self, *, stopped: Callable[[], bool] = lambda: False) -> int:
        """Charges every hour that is over; how many were finished. To be called as often as anybody likes."""
        finished = 0
        while not stopped():
            with self.database.reading() as session:
                hour = next_hour(session)
            if hour is None or hour + HOUR + LAG > self.clock.now():
                return finished
            if self.step(hour):
                finished += 1
        return finished

    def step(self, hour: datetime) -> bool:
        """The next chunk of the hour; True when it was the last one."""
        with self.database.transaction() as session:
            alone(session)
            progress = _progress(session, hour)
            if progress.finished_at is not None:
                return True
            after = (progress.done_organization, progress.done_app)
            apps = apps_of_hour(session, hour, after=after, limit=self.chunk)
            now = self.clock.now()
            charge(session, hour, apps, currency=self.currency, now=now)
            done = {app.organization_id for app in apps} | ({after[0]} - {""})
            if apps:
                progress.done_organization, progress.done_app = apps[-1].organization_id, apps[-1].id
            if len(apps) < self.chunk:
                progress.finished_at = now
            else:
                done.discard(progress.done_organization)  # more of its applications may follow
            after_charge(session, done, currency=self.currency, now=now)
            return progress.finished_at is not None


def next_hour(session: Session) -> datetime | None:
    """The oldest that is not finished; None before anything could be paid for."""
    newest = session.execute(
        sa.select(BillingHour.hour, BillingHour.finished_at).order_by(BillingHour.hour.desc()).limit(1)
    ).first()
    if newest is not None:
        hour: datetime = newest[0]
        return hour if newest[1] is None else hour + HOUR
    first = min(
        (found for found in (
            session.scalar(sa.select(sa.func.min(PlanPeriod.since))),
            session.scalar(sa.select(sa.func.min(Replica.metered_from))),
        ) if found is not None),
        default=None,
    )  # fmt: skip
    return None if first is None else hour_of(first)


def alone(session: Session) -> None:
    """Until the transaction ends nobody else charges or corrects. SQLite's writing transactions are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(CHARGING_LOCK)))


def _progress(session: Session, hour: datetime) -> BillingHour:
    found = session.get(BillingHour, hour)
    if found is None:
        found = BillingHour(hour=hour, done_organization="", done_app="")
        session.add(found)
    return found


def charge(session: Session, hour: datetime, apps: Sequence[Metered], *, currency: str, now: datetime) -> None:
    """Records and charges the hour of these applications, which nobody has done."""
    rated = rate_hour(session, hour, apps)
    mine: dict[str, list[Metered]] = {}
    for app in apps:
        if app.id in rated:
            mine.setdefault(app.organization_id, []).append(app)
    touch(session, [f"organization:{each}" for each in mine])
    sums = {
        each: sum(line.amount_micro for app in found for line in rated[app.id]) for each, found in mine.items()
    }  # fmt: skip
    paying = [each for each in _paying(session, mine) if sums[each]]
    entries = [
        Entry(
            each, JournalKind.USAGE, -sums[each], f"usage:{hour:%Y-%m-%dT%H}:{mine[each][0].id}",
            f"{len(mine[each])} application{'s' * (len(mine[each]) > 1)}", AUTHOR, hour,
        )
        for each in paying
    ]  # fmt: skip
    journals = dict(zip(paying, post_all(session, entries, currency=currency, now=now), strict=True))
    rows = [
        record_of(app, hour, line, revision=0, journal_id=journals.get(app.organization_id))
        for app in apps
        for line in rated.get(app.id, ())
    ]
    if rows:
        session.execute(sa.insert(UsageRecord.__table__), rows)  # type: ignore[arg-type]  # says FromClause


def record_of(
    app: Metered, hour: datetime, line: Line, *, revision: int, journal_id: str | None
) -> Mapping[str, object]:
    return {
        "app_id": app.id, "organization_id": app.organization_id, "hour": hour, "revision": revision,
        "plan_slug": line.plan, "replica_seconds": line.replica_seconds, "replica_micro": line.replica_micro,
        "byte_seconds": line.byte_seconds, "storage_micro": line.storage_micro, "log_bytes": line.log_bytes,
        "log_micro": line.log_micro, "amount_micro": line.amount_micro,
        "journal_id": journal_id if line.amount_micro else None,
    }  # fmt: skip


def _paying(session: Session, organizations: Mapping[str, object]) -> Sequence[str]:
    """Those that are billed, in a fixed order."""
    query = sa.select(Organization.id).where(Organization.id.in_(list(organizations)), Organization.billed)
    return list(session.scalars(query.order_by(Organization.id)))
