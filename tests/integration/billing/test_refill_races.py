"""Money that comes in at the very moment in which an empty wallet is put to rest."""

from __future__ import annotations

import contextlib

from billing_world import CURRENCY, ROOT, World

from skypanel.billing.credit import enter
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import FUNDS, suspend
from skypanel.db import Base, Database
from skypanel.orgs.models import Organization


def test_a_refill_that_was_begun_before_the_suspension_resumes_all_the_same(postgres_url: str) -> None:
    """SQLite's writing transactions are alone, so nothing comes between there."""
    with contextlib.closing(Database(postgres_url)) as database:
        Base.metadata.create_all(database.engine)
        world = World(database)
        world.organization("acme", funds="0")
        with database.transaction() as session:
            acme = session.get_one(Organization, "acme")
            with database.transaction() as other:
                suspend(other, other.get_one(Organization, "acme"), FUNDS, by=ROOT, now=world.clock.now())
            enter(
                session, acme, kind=JournalKind.CREDIT, amount_micro=5_000_000, reason="refill", by=ROOT,
                now=world.clock.now(), currency=CURRENCY,
            )  # fmt: skip
        with database.reading() as session:
            assert session.get_one(Organization, "acme").status == "active"
