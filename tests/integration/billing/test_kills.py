"""`kill -9` of billing workers, two at once: what is left is what an undisturbed run leaves.

Ten kills; `SKYPANEL_BILLING_KILLS=50` for more.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import billing_process
import psycopg
import pytest
import sqlalchemy as sa
from billing_bulk import populate, state
from billing_process import work

from skypanel.billing.charge import Charger
from skypanel.billing.core.hours import HOUR
from skypanel.billing.ledger import check
from skypanel.billing.models import BillingHour
from skypanel.db import Database
from skypanel.deployments.models import Replica
from skypanel.kit.clock import FakeClock

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
APPS, CHUNK = 10_000, 250
KILLS = int(os.environ.get("SKYPANEL_BILLING_KILLS", "10"))
HOURS = 2 + KILLS // 5  # so that there is work for all of them
FUNDS = 60 * 60_000 * HOURS  # of sixty applications: enough for everybody but the large one


@pytest.fixture
def copies(database_url: str, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The database under another name, once nobody uses it."""

    def copy(name: str) -> str:
        if database_url.startswith("sqlite"):
            source = Path(database_url.removeprefix("sqlite:///"))
            target = source.with_name(f"{name}.db")
            shutil.copy(source, target)
            return f"sqlite:///{target}"
        cluster = request.getfixturevalue("postgres_cluster")
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
            old, new = database_url.rsplit("/", 1)[1], f"{name}_{random.randrange(10**9)}"
            admin.execute(f"CREATE DATABASE {new} TEMPLATE {old} STRATEGY FILE_COPY")
        return str(cluster.url(new))

    return copy


@pytest.mark.timeout(1200)
def test_killed_workers_leave_what_an_undisturbed_one_leaves(database: Database, copies: Callable[[str], str]) -> None:
    populate(database, apps=APPS, organizations=100, big=APPS // 2, since=BEGIN + timedelta(minutes=7), funds=FUNDS)
    assert Charger(database, FakeClock(BEGIN + timedelta(minutes=62)), billing_process.CURRENCY, CHUNK).run() == 1
    _some_died_unnoticed(database)
    database.close()
    moment = BEGIN + HOURS * HOUR + timedelta(minutes=2)
    undisturbed, disturbed = copies("undisturbed"), copies("disturbed")
    work(undisturbed, moment, CHUNK)
    kills = _worked_and_killed(disturbed, moment)
    assert kills == KILLS, "there was too little work for so many kills"
    with closing(Database(undisturbed)) as one, closing(Database(disturbed)) as other:
        wanted = list(state(one))
        assert list(state(other)) == wanted
        with other.reading() as session:
            assert check(session) == []
            suspended = session.execute(sa.text("SELECT count(*) FROM organizations WHERE status = 'suspended'"))
            assert suspended.scalar_one() >= 1


def _some_died_unnoticed(database: Database) -> None:
    with database.transaction() as session:
        dying = session.scalars(sa.select(Replica).order_by(Replica.id).limit(300))
        for number, replica in enumerate(dying):
            replica.metered_until = replica.recheck_from = BEGIN + timedelta(minutes=10, seconds=number)


def _worked_and_killed(url: str, moment: datetime) -> int:
    """Two workers, each killed at some moment and followed by another, until all is charged."""
    dice = random.Random(4)
    kills = 0
    workers = [_start(url, moment) for _ in range(2)]
    while kills < KILLS and not _finished(url, moment):
        victim = dice.randrange(2)
        assert workers[victim].stdout is not None
        workers[victim].stdout.readline()  # ready: it works from now on
        time.sleep(dice.uniform(0, 0.5))
        if workers[victim].poll() is None:
            workers[victim].kill()
            kills += 1
        workers[victim].wait()
        workers[victim].stdout.close()
        workers[victim] = _start(url, moment)
    for worker in workers:
        output, _ = worker.communicate()
        assert worker.returncode == 0, output
    assert _finished(url, moment)
    return kills


def _start(url: str, moment: datetime) -> subprocess.Popen[bytes]:
    command = [sys.executable, billing_process.__file__, url, str(int(moment.timestamp())), str(CHUNK)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _finished(url: str, moment: datetime) -> bool:
    with closing(Database(url)) as database, database.reading() as session:
        last = session.get(BillingHour, moment.replace(minute=0) - HOUR)
        return last is not None and last.finished_at is not None
