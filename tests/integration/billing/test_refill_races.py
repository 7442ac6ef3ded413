"""Who suspends, resumes and refills at the very moment in which another one does. SQLite's writing transactions are
alone, so nothing comes between there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from billing_world import CURRENCY, ROOT, World

from skypanel.billing.credit import enter
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import ADMIN, FUNDS, resume, suspend
from skypanel.db import Base, Database
from skypanel.errors import Conflict
from skypanel.orgs.models import Organization


@pytest.fixture
def acme(postgres_url: str) -> Iterator[World]:
    """Its organization `acme` has an empty wallet."""
    with contextlib.closing(Database(postgres_url)) as database:
        Base.metadata.create_all(database.engine)
        world = World(database)
        world.organization("acme", funds="0")
        yield world


def suspended(world: World, why: str) -> None:
    with world.database.transaction() as session:
        suspend(session, session.get_one(Organization, "acme"), why, by=ROOT, now=world.clock.now())


def test_a_refill_that_was_begun_before_the_suspension_resumes_all_the_same(acme: World) -> None:
    with acme.database.transaction() as session:
        organization = session.get_one(Organization, "acme")
        suspended(acme, FUNDS)
        enter(
            session, organization, kind=JournalKind.CREDIT, amount_micro=5_000_000, reason="refill", by=ROOT,
            now=acme.clock.now(), currency=CURRENCY,
        )  # fmt: skip
    assert acme.suspended() == set()


def test_a_charge_that_was_begun_before_the_admin_suspended_leaves_it_the_admins(acme: World) -> None:
    with acme.database.transaction() as session:
        organization = session.get_one(Organization, "acme")  # active, as the charge has found it
        suspended(acme, ADMIN)
        suspend(session, organization, FUNDS, by=ROOT, now=acme.clock.now())
    acme.pay_in("acme", 5_000_000)
    assert acme.suspended() == {"acme"}, "no money lifts what the admin has suspended"


def test_who_asks_for_what_a_refill_has_just_resumed_resumes_it_no_second_time(acme: World) -> None:
    suspended(acme, FUNDS)
    with acme.database.transaction() as session:
        organization = session.get_one(Organization, "acme")
        acme.pay_in("acme", 5_000_000)
        with pytest.raises(Conflict, match="not suspended"):
            resume(session, organization, by=ROOT, now=acme.clock.now(), currency=CURRENCY)


def test_an_admin_resumes_what_was_suspended_while_the_page_was_loaded(acme: World) -> None:
    acme.pay_in("acme", 5_000_000)
    with acme.database.transaction() as session:
        organization = session.get_one(Organization, "acme")
        suspended(acme, ADMIN)
        resume(session, organization, by=ROOT, now=acme.clock.now(), currency=CURRENCY, as_admin=True)
    assert acme.suspended() == set()
