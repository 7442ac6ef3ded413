"""What happens in an hour that was charged already, because the clock was set back, is put right like a late crash."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from billing_world import BEGIN, World

from skypanel.apps.recheck import recheck
from skypanel.billing.models import LogVolume
from skypanel.billing.volumes import add_volumes
from skypanel.builds.models import Slug
from skypanel.orgs.plans import get_plan

HOUR = timedelta(hours=1)
HOBBY = 6_900
GB = 10**9


def priced(world: World, **prices: int) -> None:
    with world.database.transaction() as session:
        for name, price in prices.items():
            setattr(get_plan(session, "hobby"), name, price)


def test_a_replica_that_stops_in_a_charged_hour_is_paid_for_until_then(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    replica = world.start(app)
    world.until_billed(BEGIN + HOUR)
    assert world.charged(app) == HOBBY
    world.clock.moment = BEGIN + timedelta(minutes=30)
    world.stop(replica)
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.charged(app) == HOBBY // 2


def test_a_plan_that_changes_in_a_charged_hour_counts_from_then(world: World) -> None:
    priced(world, storage_price_micro=3_600_000)
    world.organization("acme")
    app = world.app("acme")
    world.slug(app, GB)
    world.until_billed(BEGIN + HOUR)
    world.clock.moment = BEGIN + timedelta(minutes=30)
    world.change_plan(app, "standard")
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.charged(app) == 1_800_000


def test_a_slug_that_comes_and_one_that_goes_in_a_charged_hour_count_from_then(world: World) -> None:
    priced(world, storage_price_micro=3_600_000)
    world.organization("acme")
    app = world.app("acme")
    old = world.slug(app, 4 * GB)
    world.until_billed(BEGIN + HOUR)
    world.clock.moment = BEGIN + timedelta(minutes=30)
    world.slug(app, GB)
    with world.database.transaction() as session:
        session.get_one(Slug, old).removed_at = world.clock.now()
        recheck(session, app, since=world.clock.now())
    world.until_billed(BEGIN + 2 * HOUR)
    assert [r.storage_micro for r in world.records(app)] == [4 * 3_600_000, -2 * 3_600_000 + 1_800_000, 3_600_000]


def test_an_app_deleted_in_a_charged_hour_pays_until_then(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.until_billed(BEGIN + HOUR)
    world.clock.moment = BEGIN + timedelta(minutes=15)
    world.delete(app)
    world.until_billed(BEGIN + 3 * HOUR)
    assert world.charged(app) == HOBBY // 4


def test_an_app_runs_before_it_was_made(world: World) -> None:
    world.organization("acme")
    world.app("acme")
    world.advance(hours=1, minutes=1)
    late = world.app("acme")  # at 11:01
    world.clock.moment = BEGIN + timedelta(minutes=30)
    world.start(late)
    world.until_billed(BEGIN + HOUR)
    assert world.charged(late) == HOBBY // 2


def test_an_hour_that_had_only_free_storage_is_still_one_that_is_paid_for(world: World) -> None:
    world.organization("acme", funds="10")
    app = world.app("acme")
    world.slug(app, GB)
    world.until_billed(BEGIN + HOUR)
    assert (world.charged(app), len(world.records(app))) == (0, 1)
    world.clock.moment = BEGIN + timedelta(minutes=30)
    world.start(app)
    world.until_billed(BEGIN + HOUR)
    assert world.charged(app) == HOBBY // 2
    assert world.balance("acme") == 10_000_000 - HOBBY // 2


def test_what_is_logged_in_a_charged_hour_is_paid_for_in_the_next(world: World) -> None:
    priced(world, log_price_micro=1_000_000)
    world.organization("acme")
    app = world.app("acme")
    world.until_billed(BEGIN + HOUR)
    with world.database.transaction() as session:
        add_volumes(session, {(app, BEGIN): GB, (app, BEGIN + HOUR): GB, (app, BEGIN + 2 * HOUR): GB, ("x", BEGIN): 1})
    with world.database.reading() as session:
        found = session.execute(sa.select(LogVolume.hour, LogVolume.bytes).order_by(LogVolume.hour)).all()
    assert [tuple(row) for row in found] == [(BEGIN + HOUR, 2 * GB), (BEGIN + 2 * HOUR, GB)]
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.charged(app) == 2_000_000
