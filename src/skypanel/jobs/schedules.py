"""Jobs by the clock: exactly one per tick, however many workers look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from croniter import croniter

from skypanel.db import Database, Session
from skypanel.db.upsert import upsert
from skypanel.jobs.enqueue import enqueue
from skypanel.jobs.models import TICKS

LATE_S = 60.0


@dataclass(frozen=True)
class Schedule:
    """`cron`: five fields in UTC, or six with seconds last. After ticks were missed it runs once for all of them;
    with `catch_up="skip"` not at all when the last one is over a minute ago. Runs of one schedule never overlap, and
    a run that still waits stands for the next ones too."""

    name: str
    cron: str
    kind: str
    queue: str = "default"
    args: dict[str, Any] = field(default_factory=dict)
    catch_up: Literal["once", "skip"] = "once"
    max_attempts: int = 3

    def __post_init__(self) -> None:
        if not croniter.is_valid(self.cron):
            raise ValueError(f"schedule {self.name}: {self.cron!r} is no cron expression")

    def ticks(self, now: datetime) -> tuple[datetime, datetime]:
        """The latest tick at or before `now`, and the next one after it."""
        following: datetime = croniter(self.cron, now).get_next(datetime)
        latest: datetime = croniter(self.cron, following).get_prev(datetime)
        return latest, following


class Timetable:
    """When each schedule is to be looked at next. Moments are seconds since 1970 by the database's clock."""

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = tuple(schedules)
        self._due: dict[str, float] = {}
        self._seen = 0.0

    def run_due(self, database: Database, *, now: float) -> float | None:
        """Enqueues what is due; seconds until the next tick, None without schedules."""
        if now < self._seen:  # the clock was set back: what we knew of the next ticks is worth nothing
            self._due.clear()
        self._seen = now
        for schedule in self._schedules:
            if now >= self._due.get(schedule.name, 0.0):
                latest, following = schedule.ticks(datetime.fromtimestamp(now, UTC))
                with database.transaction() as session:
                    take_tick(session, schedule=schedule, tick=latest, late_s=now - latest.timestamp())
                self._due[schedule.name] = following.timestamp()
        return min(self._due.values()) - now if self._due else None


def take_tick(session: Session, *, schedule: Schedule, tick: datetime, late_s: float) -> str | None:
    """Enqueues the run of `tick` if nobody has yet; its job id. A schedule's very first tick is only noted."""
    newer = sa.update(TICKS).where(TICKS.c.name == schedule.name, TICKS.c.tick < tick).values(tick=tick)
    if session.execute(newer.returning(TICKS.c.name)).first() is None:
        session.execute(upsert(session, TICKS).values(name=schedule.name, tick=tick).on_conflict_do_nothing())
        return None
    if schedule.catch_up == "skip" and late_s > LATE_S:
        return None
    name = f"schedule:{schedule.name}"
    return enqueue(
        session,
        kind=schedule.kind,
        args=schedule.args,
        queue=schedule.queue,
        key=name,
        dedup=name,
        max_attempts=schedule.max_attempts,
    )
