"""`?from=&to=&app=&plan=` of everything that shows what was used, and usage as a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from skypanel.billing.csv_rows import csv_rows, header
from skypanel.billing.forecast import month_of
from skypanel.billing.usage import Exported, UsageFilter, exported
from skypanel.errors import FieldError, Invalid
from skypanel.http.context import Services, ServicesDep

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
Moment = AwareDatetime | date


@dataclass(frozen=True)
class UsageRange:
    since: datetime
    until: datetime
    app: str | None = None
    plan: str | None = None

    @property
    def wanted(self) -> UsageFilter:
        return UsageFilter(self.since, self.until, self.app, self.plan)


async def usage_range(
    services: ServicesDep,
    since: Annotated[
        Moment | None,
        Query(alias="from", description="Hours that begin then or later: a day of UTC or a time. Default: this month"),
    ] = None,
    until: Annotated[
        Moment | None, Query(alias="to", description="Hours that begin before. Default: the end of the month of `from`")
    ] = None,
    app: Annotated[str | None, Query(max_length=80, description="Id or slug; a deleted one by its id")] = None,
    plan: Annotated[str | None, Query(max_length=80, description="Slug of a plan")] = None,
) -> UsageRange:
    """Raises Invalid."""
    if until is not None and since is None:
        since = month_of(in_utc("to", until) - timedelta(microseconds=1))
    first = month_of(services.clock.now()) if since is None else in_utc("from", since)
    end = month_of(month_of(first) + timedelta(days=32)) if until is None else in_utc("to", until)
    if end <= first:
        raise Invalid("`to` must be later than `from`.", errors=[FieldError("to", "must be later than `from`")])
    return UsageRange(first, end, app, plan)


UsageRangeDep = Annotated[UsageRange, Depends(usage_range)]


def in_utc(field: str, moment: datetime | date) -> datetime:
    """A day begins at midnight of UTC. Raises Invalid for what no platform has lived in."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), UTC)
    if not FIRST <= moment <= LAST:
        message = "must be between the years 1970 and 9000"
        raise Invalid(f"{field} {message}.", errors=[FieldError(field, message)])
    return moment.astimezone(UTC)


def usage_file(services: Services, asked: UsageRange, *, organization_id: str | None) -> StreamingResponse:
    """A portion of rows is in memory, and a transaction is open only while one is read: a slow reader holds nothing.
    `organization_id` None: of all."""

    def lines() -> Iterator[str]:
        yield header()
        after: Exported | None = None
        while True:
            with services.database.reading() as session:
                rows = exported(session, asked.wanted, organization_id=organization_id, after=after)
            if not rows:
                return
            yield csv_rows(rows, currency=services.currency)
            after = rows[-1]

    name = f"usage-{asked.since:%Y-%m-%d}-{asked.until:%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8; header=present", headers=headers)
