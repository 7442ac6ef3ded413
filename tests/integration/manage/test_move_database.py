"""A one-machine installation's database becomes the cluster's, its ledger too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from billing_world import BEGIN, ROOT, World

from skypanel.billing.credit import enter
from skypanel.billing.ledger import balance, check
from skypanel.billing.models import JournalKind
from skypanel.db import Database
from skypanel.manage.cluster.move_database import move
from skypanel.manage.migrate import load_models, upgrade
from skypanel.orgs.models import Organization

HOURS = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two organizations whose applications ran for some hours, and a correction."""
    with closing(Database(f"sqlite:///{tmp_path / 'one.db'}")) as database:
        upgrade(database)
        world = World(database)
        for name in ("globex", "acme"):
            world.organization(name, funds="10")
            replica = world.start(world.app(name))
        world.until_billed(BEGIN + HOURS * timedelta(hours=1))
        world.dies(replica, ago=timedelta(hours=1))
        world.bill()
        yield world


@pytest.mark.postgres
def test_the_ledger_moves_with_everything_else_and_twice(world: World, postgres_url: str) -> None:
    with closing(Database(postgres_url)) as target:
        for _ in range(2):
            moved = move(world.database, target)
            assert moved["ledger_postings"] == 2 * moved["ledger_journals"] > 10
            assert rows(target) == rows(world.database)
        with target.reading() as session:
            assert check(session) == []
            assert balance(session, "acme") == world.balance("acme")
        _goes_on(target, world)


def _goes_on(target: Database, world: World) -> None:
    with target.transaction() as session:
        enter(
            session, session.get_one(Organization, "acme"), kind=JournalKind.CREDIT, amount_micro=5,
            reason="after the move", by=ROOT, now=world.clock.now(), currency="USD",
        )  # fmt: skip
    with target.reading() as session:
        assert balance(session, "acme") == world.balance("acme") + 5


def rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in load_models().sorted_tables
        }
