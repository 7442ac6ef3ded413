"""A database that goes away while jobs run and wait."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from skypanel.db import Database
from skypanel.jobs import JobContext

Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def outage(request: pytest.FixtureRequest, database: Database, database_url: str) -> Outage:
    """SQLite: somebody holds the lock for longer than anyone waits. PostgreSQL: the server is down."""
    if database.dialect == "sqlite":

        @event.listens_for(database.engine, "connect")
        def _impatient(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=20")

        database.engine.dispose()
        return lambda: _locked(sa.make_url(database_url).database or "")
    return lambda: _down(request.getfixturevalue("postgres_cluster"))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _down(cluster: Any) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def test_loop_heartbeat_and_running_jobs_outlive_a_database_that_goes_away(
    bench: Any, start_engine: Any, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow() -> str:
        ran.append("slow")
        begun.set()
        assert go.wait(60)
        return "made during the outage"

    def handler(ctx: JobContext) -> Any:
        made = ctx.step("slow", slow)
        ctx.tx_step("write", lambda session: ran.append("write"))
        return made

    def logged(what: str) -> bool:
        return any(record.getMessage().startswith(what) for record in caplog.records)

    caplog.set_level(logging.INFO, "skypanel.jobs")
    start_engine({"handler": handler, "note": lambda ctx: None}, poll_s=3600)
    running = bench.put("handler", key="app:1")
    assert begun.wait(30)
    waiting = bench.put("note", delay_s=0.5)
    with outage():
        go.set()
        for who in ("job loop: the database is away", "job heartbeat: the", f"job {running}: the database is away"):
            bench.eventually(lambda who=who: logged(who), within_s=60)
    job = bench.ended(running)
    assert (job.state, job.result, job.tries) == ("done", '"made during the outage"', 1)
    assert ran[0] == "slow"
    assert ran.count("slow") == 1
    assert bench.ended(waiting).state == "done"
    assert bench.ended(bench.put("note")).state == "done"  # messages arrive again
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if m.startswith("job heartbeat: the database is away")]) == 1
