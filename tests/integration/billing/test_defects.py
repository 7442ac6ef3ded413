"""Each billing defect that was found in SkyPanelV2, by its name: it must not be here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import sqlalchemy as sa
from billing_world import BEGIN, World

from skypanel.apps.models import App
from skypanel.billing.models import LedgerJournal, LedgerPosting
from skypanel.billing.usage import UsageFilter, usage_by_app
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.replicas import gone, serves

HOUR = timedelta(hours=1)
HOBBY = 6_900


def test_billing_that_deadlocks_on_its_own_row_lock(world: World) -> None:
    """The run locked a wallet and asked for it over a second connection. Here runs, refills and corrections meet."""
    world.chunk = 2
    apps = []
    for name in ("acme", "globex"):
        world.organization(name)
        apps += [world.app(name) for _ in range(6)]
    replicas = [world.start(app) for app in apps]
    world.until_billed(BEGIN + HOUR)
    world.advance(hours=6)
    for replica in replicas[:6]:
        world.dies(replica, ago=timedelta(hours=6, minutes=30))

    def refill(name: str) -> None:
        for _ in range(10):
            world.pay_in(name, 1)

    with ThreadPoolExecutor() as pool:
        work = [pool.submit(world.bill), pool.submit(world.bill)]
        work += [pool.submit(refill, name) for name in ("acme", "globex")]
        for each in work:
            each.result(timeout=120)
    world.bill()
    for name in ("acme", "globex"):
        mine = [app for app in apps if app.startswith(name)]
        assert world.balance(name) == 1_000_000_010 - sum(world.charged(app) for app in mine)


def test_balance_rounded_to_cents_per_charge(world: World) -> None:
    """$0.0069 became $0.01."""
    world.organization("acme", funds="1")
    world.start(world.app("acme"))
    world.until_billed(BEGIN + 10 * HOUR)
    assert world.balance("acme") == 1_000_000 - 69_000


def test_below_half_a_cent_free(world: World) -> None:
    """Seven seconds of the smallest plan cost 13 micro-units."""
    world.organization("acme", funds="1")
    replica = world.start(world.app("acme"))
    world.advance(seconds=7)
    world.stop(replica)
    world.until_billed(BEGIN + HOUR)
    assert world.balance("acme") == 1_000_000 - 13


def test_whole_hours_times_current_replicas(world: World) -> None:
    """Three replicas for six minutes cost as much as three all hour long, and those gone at the hour's end nothing."""
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.advance(minutes=10)
    extra = [world.start(app), world.start(app)]
    world.advance(minutes=6)
    for replica in extra:
        world.stop(replica)
    world.until_billed(BEGIN + HOUR)
    assert [record.replica_seconds for record in world.records(app)] == [3600 + 2 * 360]


def test_restart_charges_the_stopped_time(world: World) -> None:
    """What was stopped for three hours had to pay for them when it was started again."""
    world.organization("acme")
    app = world.app("acme")
    replica = world.start(app)
    world.advance(minutes=30)
    world.stop(replica)
    world.advance(hours=3)
    world.start(app)
    world.until_billed(BEGIN + 4 * HOUR)
    assert sum(record.replica_seconds for record in world.records(app)) == 2 * 1800


def test_suspension_at_a_dollar_or_less(world: World) -> None:
    """Its last dollar is the customer's: 145 hours of the smallest plan."""
    world.organization("acme", funds="1")
    app = world.app("acme")
    world.start(app)
    world.until_billed(BEGIN + 144 * HOUR)
    assert (world.balance("acme"), world.suspended()) == (6_400, set())
    world.until_billed(BEGIN + 145 * HOUR)
    assert (world.balance("acme"), world.suspended()) == (-500, {"acme"})


def test_deleting_an_app_deletes_its_billing_history(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.until_billed(BEGIN + 2 * HOUR)
    before = [(record.hour, record.amount_micro) for record in world.records(app)]
    world.delete(app)
    world.until_billed(BEGIN + 3 * HOUR)
    assert [(record.hour, record.amount_micro) for record in world.records(app)][:2] == before
    with world.database.reading() as session:
        usage = usage_by_app(session, "acme", UsageFilter(since=BEGIN, until=BEGIN + 3 * HOUR))
        assert [(each.app_id, each.amount_micro) for each in usage] == [(app, world.charged(app))]
        postings = session.scalar(sa.select(sa.func.count()).select_from(LedgerPosting))
        journals = session.scalar(sa.select(sa.func.count()).select_from(LedgerJournal))
        assert postings == 2 * (journals or 0) > 4


def test_a_failed_deploy_stays_deploying_and_is_charged(world: World) -> None:
    """Its replicas became healthy, the switch failed, and they went: never the current release, never paid for."""
    world.organization("acme")
    app = world.app("acme")
    with world.database.transaction() as session:
        now, row = world.clock.now(), session.get_one(App, app)
        assert row.current_deployment_id is not None
        session.add(
            Replica(
                id="of-a-failed-one", app_id=app, organization_id="acme", deployment_id=row.current_deployment_id,
                generation=1, process_type="web", position=1, state=ReplicaState.HEALTHY, node="m1",
                plan_slug="hobby", price_per_hour_micro=HOBBY, started_at=now, created_at=now,
            )
        )  # fmt: skip
    world.advance(minutes=20)
    with world.database.transaction() as session:
        gone(session.get_one(Replica, "of-a-failed-one"), at=world.clock.now(), failure="its deployment failed")
    world.until_billed(BEGIN + HOUR)
    assert world.records(app) == []
    with world.database.transaction() as session:
        serves([session.get_one(Replica, "of-a-failed-one")], now=world.clock.now())
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.records(app) == []
