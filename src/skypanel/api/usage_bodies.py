"""Bodies of what was used: sums, hours, and what is behind an hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.core.hours import HOUR, HOUR_S
from skypanel.billing.core.rating import GB
from skypanel.billing.models import UsageRecord
from skypanel.billing.usage import Interval, Kept, Usage, plain_slug
from skypanel.http.schema import Amount, ResponseBody, Timestamp
from skypanel.http.usage import UsageRange
from skypanel.kit.money import to_decimal_string

GbHours = Field(description="Of kept releases, GB (10^9 bytes) x hours", examples=["1.25"])
LogBytes = Field(description="Bytes that it logged")
Revision = Field(description="0: the charge; above: a correction, whose figures are differences that are added")


class Spanned(ResponseBody):
    """What begins at `from` and ends before `to`."""

    since: Timestamp = Field(serialization_alias="from")
    to: Timestamp


class CostsBody(ResponseBody):
    """Amounts are `replica_seconds x price / 3600`, `byte_seconds x price / (3600 x 10^9)` and `bytes x price / 10^9`,
    each rounded once an hour and plan."""

    replica_seconds: int
    replica_cost: Amount
    storage_gb_hours: str = GbHours
    storage_cost: Amount
    log_bytes: int = LogBytes
    log_cost: Amount
    cost: Amount
    currency: str = Field(examples=["USD"])


class UsageItem(CostsBody):
    app: str = Field(description="Its slug, of a deleted one the former", examples=["shop"])
    app_id: str
    name: str
    deleted: bool
    plan: str = Field(examples=["hobby"])
    hours: int = Field(description="In which anything was used")


class UsageBody(Spanned):
    items: list[UsageItem] = Field(description="Of each application and plan, dearest first; all on one page")
    total: Amount
    currency: str = Field(examples=["USD"])


class UsageHourBody(CostsBody):
    app: str
    app_id: str
    plan: str
    hour: Timestamp = Field(description="Its beginning")
    revision: int = Revision
    storage_byte_seconds: int
    journal_id: str | None = Field(description="The wallet's transaction that paid for it; null: free")


class IntervalBody(Spanned):
    replica: str
    process: str = Field(examples=["web.1"])
    plan: str
    price_per_hour: Amount
    seconds: int


class KeptBody(Spanned):
    slug_id: str
    size_bytes: int
    seconds: int


class TermsBody(ResponseBody):
    plan: str
    since: Timestamp
    storage_price: Amount = Field(description="Per GB and hour")
    log_price: Amount = Field(description="Per GB")


class HourBody(Spanned):
    """`charges` are what was charged, `intervals`, `storage` and `log_bytes` what they were computed from."""

    app: str
    app_id: str
    charges: list[UsageHourBody] = Field(description="Empty until the hour is charged, soon after it is over")
    intervals: list[IntervalBody]
    storage: list[KeptBody]
    terms: list[TermsBody] = Field(description="Plans of the hour with the prices of storage and logs")
    cost: Amount
    currency: str


class OrganizationUsageItem(ResponseBody):
    organization: str = Field(description="Its slug")
    organization_id: str
    name: str
    replica_seconds: int
    log_bytes: int = LogBytes
    cost: Amount
    currency: str


class AdminUsageBody(Spanned):
    items: list[OrganizationUsageItem] = Field(description="Dearest first, `limit` of them")
    total: Amount = Field(description="Of all organizations")
    currency: str


def usage_items(found: Sequence[Usage], currency: str) -> list[UsageItem]:
    return [
        UsageItem(
            app=each.app, app_id=each.app_id, name=each.name, deleted=each.deleted, plan=each.plan, hours=each.hours,
            **_costs(each, currency),
        )
        for each in found
    ]  # fmt: skip


def usage_body(found: Sequence[Usage], asked: UsageRange, currency: str) -> UsageBody:
    total = to_decimal_string(sum(each.amount_micro for each in found))
    return UsageBody(
        since=asked.since, to=asked.until, items=usage_items(found, currency), total=total, currency=currency
    )


def usage_hour_body(record: UsageRecord, slug: str, currency: str) -> UsageHourBody:
    return UsageHourBody(
        app=slug, app_id=record.app_id, plan=record.plan_slug, hour=record.hour, revision=record.revision,
        storage_byte_seconds=record.byte_seconds, journal_id=record.journal_id, **_costs(record, currency),
    )  # fmt: skip


def _costs(of: Usage | UsageRecord, currency: str) -> dict[str, Any]:
    return {
        "replica_seconds": of.replica_seconds, "replica_cost": to_decimal_string(of.replica_micro),
        "storage_gb_hours": gb_hours(of.byte_seconds), "storage_cost": to_decimal_string(of.storage_micro),
        "log_bytes": of.log_bytes, "log_cost": to_decimal_string(of.log_micro),
        "cost": to_decimal_string(of.amount_micro), "currency": currency,
    }  # fmt: skip


def gb_hours(byte_seconds: int) -> str:
    """Six decimals: for people. The exact figure is `storage_byte_seconds` of the hours."""
    return f"{Decimal(byte_seconds) / (GB * HOUR_S):.6f}"


def hour_body(
    app: App, hour: datetime, records: Sequence[UsageRecord], ran: Sequence[Interval], kept: Sequence[Kept],
    terms: Sequence[PlanPeriod], currency: str,
) -> HourBody:  # fmt: skip
    slug = plain_slug(app.slug)
    return HourBody(
        app=slug, app_id=app.id, since=hour, to=hour + HOUR,
        charges=[usage_hour_body(record, slug, currency) for record in records],
        intervals=[
            IntervalBody(
                replica=each.replica_id, process=each.process, plan=each.plan, since=each.start, to=each.end,
                price_per_hour=to_decimal_string(each.price_per_hour_micro), seconds=each.seconds,
            )
            for each in ran
        ],
        storage=[
            KeptBody(
                slug_id=each.slug_id, size_bytes=each.size_bytes, since=each.start, to=each.end, seconds=each.seconds
            )
            for each in kept
        ],
        terms=[
            TermsBody(
                plan=each.plan_slug, since=each.since, storage_price=to_decimal_string(each.storage_price_micro),
                log_price=to_decimal_string(each.log_price_micro),
            )
            for each in terms
        ],
        cost=to_decimal_string(sum(record.amount_micro for record in records)), currency=currency,
    )  # fmt: skip
