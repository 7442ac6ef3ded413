"""`?source=&level=&replica=&since=&until=&search=` of everything that shows log lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from skypanel.drivers.logstore.port import Query as LogQuery
from skypanel.errors import FieldError, Invalid

SOURCES = ("build", "app", "router", "system")
LEVELS = ("debug", "info", "warn", "error")
Name = Annotated[str, Query(max_length=400)]


@dataclass(frozen=True)
class Filters:
    query: LogQuery


def filters(
    source: Annotated[
        list[Name] | None, Query(description="build, app, router, system; repeated or with commas")
    ] = None,
    level: Annotated[list[Name] | None, Query(description="debug, info, warn, error; repeated or with commas")] = None,
    replica: Annotated[list[Name] | None, Query(description="web.1, worker.2, …; repeated or with commas")] = None,
    since: Annotated[datetime | None, Query(description="From then on, RFC 3339")] = None,
    until: Annotated[datetime | None, Query(description="Before then, RFC 3339")] = None,
    search: Annotated[str | None, Query(max_length=500, description="Plain text, in any case")] = None,
) -> Filters:
    return Filters(
        LogQuery(
            sources=_chosen("source", source, SOURCES),
            levels=_chosen("level", level, LEVELS),
            replicas=_chosen("replica", replica, None),
            since_ns=_nanoseconds(since),
            until_ns=_nanoseconds(until),
            search=search or None,
        )
    )


FiltersDep = Annotated[Filters, Depends(filters)]


def _chosen(field: str, values: list[str] | None, known: tuple[str, ...] | None) -> tuple[str, ...]:
    chosen = tuple(part.strip() for value in values or () for part in value.split(",") if part.strip())
    for name in chosen:
        if known is not None and name not in known:
            message = f"{name!r} is none of {', '.join(known)}"
            raise Invalid(f"{field}: {message}.", errors=[FieldError(field, message)])
    return chosen


def _nanoseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        message = "needs a time zone, such as Z"
        raise Invalid(f"A time {message}.", errors=[FieldError("since, until", message)])
    return int(moment.timestamp() * 1_000_000) * 1000
