"""What stands behind an application's hour: every replica, release and byte of log, with the price it had, so that
anybody can do the sum again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.core.hours import HOUR, HOUR_S
from skypanel.billing.core.rating import GB, Line
from skypanel.billing.meter import Metered, rate_hour
from skypanel.billing.models import LogVolume, UsageRecord
from skypanel.billing.usage import Interval, intervals, kept_in, records_of_hour, terms_in
from skypanel.db import Session


@dataclass(frozen=True)
class KeptUnderPlan:
    """Bytes of a release, kept for a part of the hour under one plan."""

    plan: str
    size: int
    start: datetime
    end: datetime
    price_micro: int  # per GB-hour

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())

    @property
    def micro(self) -> Fraction:
        return Fraction(self.size * self.seconds * self.price_micro, HOUR_S * GB)


@dataclass(frozen=True)
class Logged:
    plan: str
    size: int
    price_micro: int  # per GB

    @property
    def micro(self) -> Fraction:
        return Fraction(self.size * self.price_micro, GB)


@dataclass(frozen=True)
class Breakdown:
    """`records`: what was charged, corrections behind it. `lines`: what the parts amount to, once the hour is over;
    the same as was charged once every correction has been made."""

    hour: datetime
    records: Sequence[UsageRecord]
    lines: Sequence[Line]
    replicas: Sequence[Interval]
    kept: Sequence[KeptUnderPlan]
    logged: Logged | None

    @property
    def charged_micro(self) -> int:
        return sum(record.amount_micro for record in self.records)

    @property
    def agrees(self) -> bool:
        return self.charged_micro == sum(line.amount_micro for line in self.lines)


def breakdown(session: Session, app: App, hour: datetime, *, now: datetime) -> Breakdown:
    metered, terms = Metered(app.id, app.organization_id, app.deleted_at), terms_in(session, app, hour)
    lines = rate_hour(session, hour, [metered]).get(app.id, ()) if hour + HOUR <= now else ()
    volume = session.get(LogVolume, (app.id, hour))
    logged = None
    if volume is not None and terms:
        logged = Logged(terms[-1].plan_slug, volume.bytes, terms[-1].log_price_micro)
    return Breakdown(
        hour, records_of_hour(session, app, hour), lines, intervals(session, app, hour, now=now),
        _kept(session, app, hour, terms, now), logged,
    )  # fmt: skip


def _kept(
    session: Session, app: App, hour: datetime, terms: Sequence[PlanPeriod], now: datetime
) -> Sequence[KeptUnderPlan]:
    """Those that cost something, oldest first."""
    since = [period.since.replace(microsecond=0) for period in terms]
    parts = [
        KeptUnderPlan(
            period.plan_slug, slug.size_bytes, max(slug.start, begin), min(slug.end, end), period.storage_price_micro
        )
        for slug in kept_in(session, app, hour, now=now)
        for period, begin, end in zip(terms, since, [*since[1:], hour + HOUR], strict=True)
    ]  # fmt: skip
    costly = [part for part in parts if part.start < part.end and part.price_micro]
    return sorted(costly, key=lambda part: (part.start, -part.size))
