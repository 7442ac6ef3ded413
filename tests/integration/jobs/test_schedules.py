"""Ticks: once each, caught up once after a pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from skypanel.db import Database
from skypanel.jobs import Schedule, request_cancel
from skypanel.jobs.queries import list_jobs
from skypanel.jobs.schedules import Timetable, take_tick

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOURLY = Schedule(name="hourly", cron="0 * * * *", kind="sweep", queue="upkeep", args={"deep": True})


def look(database: Database, schedule: Schedule, now: datetime) -> int:
    """A freshly started worker looks at `now`; how many runs wait then. They are taken away."""
    Timetable([schedule]).run_due(database, now=now.timestamp())
    with database.transaction() as session:
        jobs = list_jobs(session, state="queued").items
        for job in jobs:
            assert (job.kind, job.queue, job.args) == ("sweep", "upkeep", {"deep": True})
            request_cancel(session, job.id)
    return len(jobs)


def test_the_first_tick_is_noted_and_each_later_one_runs_once(database: Database) -> None:
    seen = [look(database, HOURLY, NOON + timedelta(minutes=m)) for m in (1, 30, 59, 60, 61, 119, 120, 120)]
    assert seen == [0, 0, 0, 1, 0, 0, 1, 0]


def test_missed_ticks_run_once_in_all(database: Database) -> None:
    look(database, HOURLY, NOON)
    assert look(database, HOURLY, NOON + timedelta(hours=5, minutes=30)) == 1
    assert look(database, HOURLY, NOON + timedelta(hours=5, minutes=31)) == 0
    assert look(database, HOURLY, NOON + timedelta(hours=6)) == 1


def test_a_schedule_that_skips_does_not_make_up_for_missed_ticks(database: Database) -> None:
    skipping = Schedule(name="s", cron="0 * * * *", kind="sweep", queue="upkeep", args={"deep": True}, catch_up="skip")
    look(database, skipping, NOON)
    assert look(database, skipping, NOON + timedelta(hours=5, minutes=30)) == 0
    assert look(database, skipping, NOON + timedelta(hours=6, seconds=2)) == 1


def test_a_run_that_still_waits_stands_for_the_next_tick_too(database: Database) -> None:
    ticks = [NOON + timedelta(hours=n) for n in range(3)]
    made: list[Any] = []
    for tick in ticks:
        with database.transaction() as session:
            made.append(take_tick(session, schedule=HOURLY, tick=tick, late_s=0))
    assert [job_id is not None for job_id in made] == [False, True, False]


def test_a_clock_that_was_set_back_does_not_silence_the_timetable(database: Database) -> None:
    timetable = Timetable([HOURLY])
    timetable.run_due(database, now=(NOON + timedelta(days=30)).timestamp())
    assert timetable.run_due(database, now=(NOON + timedelta(minutes=1)).timestamp()) == 59 * 60
