"""The hourly run on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

from billing_world import BEGIN, World

HOUR = timedelta(hours=1)
HOBBY, STANDARD = 6_900, 34_700  # micro-units per replica-hour


def test_a_running_app_pays_for_its_seconds_and_no_hour_twice(world: World) -> None:
    world.organization("acme", funds="10")
    app = world.app("acme")
    world.advance(minutes=15)
    world.start(app)
    world.until_billed(BEGIN + 2 * HOUR)
    assert [(r.hour, r.replica_seconds, r.amount_micro) for r in world.records(app)] == [
        (BEGIN, 2700, 5175), (BEGIN + HOUR, 3600, HOBBY),
    ]  # fmt: skip
    for _ in range(3):
        world.bill()
    assert world.balance("acme") == 10_000_000 - 5175 - HOBBY


def test_an_hour_is_charged_when_it_is_over_and_not_before(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.advance(minutes=60, seconds=80)
    world.bill()
    assert world.records(app) == []
    world.advance(seconds=10)
    world.bill()
    assert len(world.records(app)) == 1


def test_scales_and_plan_changes_inside_an_hour_are_prorated(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    first = world.start(app)
    world.advance(minutes=10)
    second = world.start(app)
    world.advance(minutes=20)
    world.change_plan(app, "standard")
    larger = world.start(app)
    world.stop(first)
    world.stop(second)
    world.advance(minutes=15)
    world.stop(larger)
    world.until_billed(BEGIN + HOUR)
    assert {r.plan_slug: (r.replica_seconds, r.replica_micro) for r in world.records(app)} == {
        "hobby": (3000, HOBBY * 3000 // 3600), "standard": (900, STANDARD * 900 // 3600),
    }  # fmt: skip


def test_five_hours_without_the_platform_are_charged_afterwards_each_once(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.advance(hours=5, minutes=30)
    world.bill()
    assert [r.replica_seconds for r in world.records(app)] == [3600] * 5


def test_a_crash_that_is_noticed_late_is_paid_for_until_it_happened(world: World) -> None:
    world.organization("acme", funds="10")
    app = world.app("acme")
    replica = world.start(app)
    world.until_billed(BEGIN + 3 * HOUR)
    assert world.charged(app) == 3 * HOBBY
    world.dies(replica, ago=2 * HOUR)  # at 11:01:30
    world.bill()
    world.bill()
    assert world.charged(app) == HOBBY + HOBBY * 90 // 3600 + 1  # 172.5 is rounded up
    assert world.balance("acme") == 10_000_000 - world.charged(app)
    assert [r.revision for r in world.records(app)] == [0, 0, 1, 0, 1]


def test_a_clock_that_is_set_back_loses_nothing(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.until_billed(BEGIN + HOUR)
    world.clock.moment = BEGIN + timedelta(minutes=30)
    replica = world.start(app)
    world.advance(minutes=30)
    world.stop(replica)
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.charged(app) == HOBBY // 2


def test_a_stopped_app_pays_for_what_it_keeps_and_nothing_else(world: World) -> None:
    world.organization("acme")
    _price(world, storage=3_600_000)
    app = world.app("acme", plan="hobby")
    world.slug(app, 500_000_000)
    world.until_billed(BEGIN + HOUR)
    (record,) = world.records(app)
    assert (record.replica_seconds, record.storage_micro, record.byte_seconds) == (0, 1_800_000, 500_000_000 * 3600)


def _price(world: World, *, storage: int) -> None:
    from skypanel.orgs.plans import get_plan

    with world.database.transaction() as session:
        get_plan(session, "hobby").storage_price_micro = storage


def test_a_deleted_app_keeps_its_history_and_pays_no_longer(world: World) -> None:
    world.organization("acme")
    app = world.app("acme")
    world.start(app)
    world.advance(minutes=30)
    world.delete(app)
    world.until_billed(BEGIN + 3 * HOUR)
    assert [r.replica_seconds for r in world.records(app)] == [1800]


def test_a_free_organization_sees_what_it_uses_and_pays_nothing(world: World) -> None:
    world.organization("acme", funds="0", billed=False)
    app = world.app("acme")
    world.start(app)
    world.until_billed(BEGIN + HOUR)
    assert (world.charged(app), world.balance("acme")) == (HOBBY, 0)
    assert world.read(app).wanted == "running"


def test_many_apps_in_small_chunks_by_several_workers_at_once(world: World) -> None:
    world.chunk = 3
    apps = []
    for name in ("acme", "globex", "initech"):
        world.organization(name)
        apps += [world.app(name) for _ in range(7)]
    for app in apps:
        world.start(app)
    world.advance(hours=4, minutes=5)
    threads = [threading.Thread(target=world.charger.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for app in apps:
        assert [r.replica_seconds for r in world.records(app)] == [3600] * 4
    for name in ("acme", "globex", "initech"):
        assert world.balance(name) == 1_000_000_000 - 7 * 4 * HOBBY
