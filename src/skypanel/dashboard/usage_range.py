"""The time that a page of usage shows: a month, a week, or from one day to another, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query

from skypanel.billing.core.hours import hour_of
from skypanel.billing.forecast import month_of
from skypanel.errors import Invalid, NotFound
from skypanel.http.usage import UsageRange

MONTH, LAST_MONTH, WEEK, CUSTOM = "month", "last-month", "7d", "custom"
RANGES = {MONTH: "this month", LAST_MONTH: "last month", WEEK: "last 7 days", CUSTOM: "from … to …"}


@dataclass(frozen=True)
class Range:
    """Hours that begin in [since, until). `problem`: why it is not what was asked for."""

    name: str
    since: datetime
    until: datetime
    first: str = ""  # days, as they were given
    last: str = ""
    problem: str | None = None

    def for_file(self, *, plan: str = "") -> UsageRange:
        """Raises Invalid for what is not what was asked for: a page says so, a file cannot."""
        if self.problem is not None:
            raise Invalid(self.problem)
        return self.asked(plan=plan)

    def asked(self, *, app: str | None = None, plan: str = "") -> UsageRange:
        return UsageRange(self.since, self.until, app, plan or None)

    @property
    def query(self) -> str:
        """For links: the same time again."""
        given = {"range": self.name if self.name != MONTH else "", "from": self.first, "to": self.last}
        return urlencode({name: value for name, value in given.items() if value})

    @property
    def words(self) -> str:
        """`1 May to 16 May 2026`."""
        last = self.until - timedelta(microseconds=1)
        return f"{self.since.day} {self.since:%B %Y} to {last.day} {last:%B %Y}"


@dataclass(frozen=True)
class Asked:
    """What a page's address says of the time: what "this month" is depends on when it is looked at."""

    name: str
    first: str
    last: str

    def at(self, now: datetime) -> Range:
        return range_of(self.name, self.first, self.last, now=now)


async def asked(
    range: Annotated[str, Query(max_length=20)] = "",
    first: Annotated[str, Query(alias="from", max_length=20)] = "",
    last: Annotated[str, Query(alias="to", max_length=20)] = "",
) -> Asked:
    return Asked(range, first, last)


AskedTime = Annotated[Asked, Depends(asked)]


def range_of(name: str, first: str, last: str, *, now: datetime) -> Range:
    """The present month where nothing usable is asked for."""
    month = month_of(now)
    if name == LAST_MONTH:
        return Range(name, month_of(month - timedelta(days=1)), month)
    if name == WEEK:
        end = hour_of(now) + timedelta(hours=1)
        return Range(name, end - timedelta(days=7), end)
    if name != CUSTOM:
        return Range(MONTH, month, month_of(month + timedelta(days=32)))
    begin, end_day = _day(first), _day(last)
    if begin is None or end_day is None or end_day < begin:
        problem = "Choose a first and a last day, the first one not after the last."
        return Range(CUSTOM, month, month_of(month + timedelta(days=32)), first, last, problem)
    return Range(CUSTOM, _midnight(begin), _midnight(end_day) + timedelta(days=1), first, last)


def moment_of(text: str, form: str, *, what: str) -> datetime:
    """Of a page's address, in UTC: `2026-05-01T12` in the form of an hour. Raises NotFound, which names `what`."""
    try:
        found = datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        found = datetime.min.replace(tzinfo=UTC)
    if not 2000 <= found.year <= 9000:
        raise NotFound(f"There is no {what} {text!r}.")
    return found


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year <= 9000 else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
