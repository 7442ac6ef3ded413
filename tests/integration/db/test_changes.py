"""Who follows a topic is woken by the commit that touched it, in whatever process, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skypanel.billing.ledger import Entry, post
from skypanel.billing.models import JournalKind
from skypanel.db import Database
from skypanel.db.changes import CHANNEL, Changes, touch
from skypanel.db.wakers import PostgresWaker, SocketWaker
from skypanel.manage.migrate import load_models
from skypanel.orgs.models import Organization

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Ear:
    def __init__(self) -> None:
        self.woken = threading.Event()

    def heard(self, within: float = 5) -> bool:
        try:
            return self.woken.wait(within)
        finally:
            self.woken.clear()


@contextmanager
def following(changes: Changes, *topics: str) -> Iterator[Ear]:
    ear = Ear()
    subscription = changes.subscribe(ear.woken.set)
    subscription.topics = frozenset(topics)
    try:
        yield ear
    finally:
        subscription.close()


def add(database: Database, name: str) -> None:
    with database.transaction() as session:
        session.add(Organization(id=name, slug=name, name=name, created_at=NOW))


@pytest.fixture
def followed(database: Database, tmp_path: Path) -> Iterator[tuple[Database, Changes]]:
    """Once over a socket and once over PostgreSQL's channel: nothing is heard within the process's memory."""
    load_models().create_all(database.engine)
    postgres = database.dialect == "postgresql"
    waker = PostgresWaker(database.engine.url, channel=CHANNEL) if postgres else SocketWaker(tmp_path / "changes.sock")
    changes = Changes(waker)
    changes.announce_for(database)
    yield database, changes
    changes.close()


def test_a_commit_wakes_who_follows_its_topics(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    with following(changes, "organization:one") as ear, following(changes, "organization:two") as other:
        ear.heard(1), other.heard(1)  # PostgreSQL's listener says once that it may have missed something
        add(database, "one")
        assert ear.heard()
        with database.transaction() as session:
            session.get_one(Organization, "one").name = "renamed"
        assert ear.heard()
        assert not other.heard(0.2)
        with database.transaction() as session:
            session.delete(session.get_one(Organization, "one"))
        assert ear.heard()


def test_rows_written_past_the_orm_are_told_by_their_writer(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    add(database, "one")
    with following(changes, "wallet:one") as ear, following(changes, "organization:two") as other:
        ear.heard(1), other.heard(1)
        with pytest.raises(RuntimeError), database.transaction() as session:
            touch(session, ["wallet:one"])
            raise RuntimeError
        assert not ear.heard(0.2)
        with database.transaction() as session:
            touch(session, ["wallet:one"])
        assert ear.heard()
        assert not other.heard(0.2)


def test_money_that_moves_wakes_who_shows_it_once(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    add(database, "one")
    add(database, "two")
    woken = 0
    with following(changes, "organization:one", "wallet:one") as ear, following(changes, "wallet:two") as other:
        ear.heard(1), other.heard(1)
        with database.transaction() as session:
            for number in range(3):
                entry = Entry("one", JournalKind.CREDIT, 5, f"key-{number}", "a present", "tests")
                post(session, entry, currency="USD", now=NOW)
        while ear.heard(0.3):
            woken += 1
        assert woken == 1
        assert not other.heard(0.1)


def test_what_is_rolled_back_wakes_nobody(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    with following(changes, "organization:one") as ear:
        ear.heard(1)
        with pytest.raises(RuntimeError), database.transaction() as session:
            session.add(Organization(id="one", slug="one", name="one", created_at=NOW))
            session.flush()
            raise RuntimeError
        assert not ear.heard(0.2)
        add(database, "one")
        assert ear.heard()


def test_a_commit_of_very_much_wakes_everybody(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    with following(changes, "organization:elsewhere") as ear:
        ear.heard(1)
        with database.transaction() as session:
            for number in range(300):
                name = f"organization-{number}"
                session.add(Organization(id=name, slug=name, name=name, created_at=NOW))
        assert ear.heard()


def test_another_process_is_heard(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    database = Database(url)
    load_models().create_all(database.engine)
    database.close()
    changes = Changes(SocketWaker(tmp_path / "changes.sock"))
    program = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path\n"
        "from skypanel.db import Database; from skypanel.db.changes import Changes\n"
        "from skypanel.db.wakers import SocketWaker; from skypanel.orgs.models import Organization\n"
        "database = Database(sys.argv[1]); Changes(SocketWaker(Path(sys.argv[2]))).announce_for(database)\n"
        "with database.transaction() as session:\n"
        "    session.add(Organization(id='one', slug='one', name='one', created_at=datetime.now(UTC)))\n"
    )
    with following(changes, "organization:one") as ear:
        subprocess.run([sys.executable, "-c", program, url, str(tmp_path / "changes.sock")], check=True)
        assert ear.heard()
    changes.close()


def test_nobody_who_left_is_woken(followed: tuple[Database, Changes]) -> None:
    database, changes = followed
    with following(changes, "organization:one") as ear:
        ear.heard(1)
    add(database, "one")
    assert not ear.heard(0.2)
