"""What of the engine needs no database."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import psycopg
import pytest
import sqlalchemy.exc as sa_exc

from skypanel.jobs import Permanent, Schedule, Temporary
from skypanel.jobs.execution import describe, exponential
from skypanel.jobs.outages import is_outage


def test_a_schedule_knows_its_latest_and_its_next_tick() -> None:
    hourly = Schedule(name="hourly", cron="0 * * * *", kind="sweep")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert hourly.ticks(noon) == (noon, one)
    assert hourly.ticks(noon.replace(minute=59, second=59, microsecond=999_999)) == (noon, one)


def test_a_schedule_without_a_cron_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        Schedule(name="broken", cron="every day", kind="sweep")


def test_delays_grow_to_five_minutes() -> None:
    assert [2**n * 0.8 <= exponential(n) <= 2**n * 1.2 for n in (1, 2, 3)] == [True] * 3
    assert 240 <= exponential(1000) <= 360


def test_plain_words_stand_alone_and_other_errors_are_named() -> None:
    assert describe(Permanent("no Procfile")) == "no Procfile"
    assert describe(Temporary("later", delay_s=1)) == "later"
    assert describe(KeyError("x")) == "KeyError: 'x'"
    assert len(describe(ValueError("x" * 9999))) == 2000


def sqlite_error(code: int) -> sa_exc.OperationalError:
    error = sqlite3.OperationalError("as the driver says")
    error.sqlite_errorcode = code
    return sa_exc.OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_IOERR_READ])
def test_a_busy_or_failing_sqlite_file_is_an_outage(code: int) -> None:
    assert is_outage(sqlite_error(code))


def test_a_missing_table_is_no_outage_though_sqlite_calls_it_operational() -> None:
    assert not is_outage(sqlite_error(sqlite3.SQLITE_ERROR))
    assert not is_outage(ValueError("no"))


def test_a_lost_postgresql_connection_is_an_outage() -> None:
    assert is_outage(sa_exc.OperationalError("SELECT 1", {}, psycopg.errors.AdminShutdown("bye")))
    assert is_outage(sa_exc.TimeoutError("no connection in the pool"))
    assert not is_outage(sa_exc.ProgrammingError("SELECT 1", {}, psycopg.errors.UndefinedTable("no")))
