"""Hours of UTC: a day always has 24 of them, whatever clocks on walls do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
HOUR_S = 3600


def hour_of(moment: datetime) -> datetime:
    """Its beginning."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours_between(first: datetime, end: datetime) -> Iterator[datetime]:
    """Beginnings of hours from `first` on, those that begin before `end`."""
    while first < end:
        yield first
        first += HOUR


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970, the rest cut off: what adjoins before adjoins after."""
    return int(moment.timestamp() // 1)
