"""What one application has been granted and does not use yet is missing from the wallet when the next one asks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from apps_world import World, build_world
from money_world import serves_from, set_balance, stored

from skypanel.apps.models import App, Wanted
from skypanel.billing.forecast import will_burn
from skypanel.billing.ledger import Entry, balance, post
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import after_charge
from skypanel.db import Database
from skypanel.deployments.models import Deployment, DeploymentStatus
from skypanel.http import verbs

HOBBY, STANDARD, PRO = 6_900, 34_700, 69_400  # an hour of one replica


@pytest.fixture
def world(each_database: Database) -> World:
    return build_world(each_database)


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[World]:
    """SQLite's writing transactions are alone, so nothing comes between there."""
    with contextlib.closing(Database(postgres_url)) as database:
        yield build_world(database)


def needed(world: World, *, without: str = "") -> int:
    with world.database.reading() as session:
        return will_burn(session, world.viewer().organization_id, without=without)


def changed(world: World, app_id: str, **values: object) -> None:
    with world.database.transaction() as session:
        session.execute(sa.update(App).where(App.id == app_id).values(**values))


def answers(world: World, verb: str, slugs: list[str], body: Any = None) -> list[str]:
    found = [world.client().post(f"/api/paas/apps/{slug}/{verb}", json=body) for slug in slugs]
    return ["granted" if answer.is_success else answer.json()["code"] for answer in found]


def test_of_ten_applications_that_are_deployed_at_once_only_those_run_that_the_wallet_carries(world: World) -> None:
    slugs = [f"app-{number}" for number in range(10)]
    for slug in slugs:
        world.app(slug, plan="standard")
    set_balance(world, "0.08")
    assert answers(world, "deploy", slugs, {}) == ["granted"] * 2 + ["funds_missing"] * 8
    assert answers(world, "deploy", slugs[:2], {}) == ["granted"] * 2, "again: what they have counts once"


def test_what_is_started_again_or_scaled_counts_before_it_serves(world: World) -> None:
    for name in ("one", "two"):
        world.release(app_id := world.app(name, slug=f"the-{name}", plan="standard"))
        changed(world, app_id, wanted=Wanted.STOPPED)
    set_balance(world, "0.0694")
    assert answers(world, "restart", ["the-one"]) == ["granted"]
    assert answers(world, "scale", ["the-one"], {"replicas": 2}) == ["granted"]
    assert answers(world, "restart", ["the-two"]) == ["funds_missing"]
    assert answers(world, "scale", ["the-one"], {"replicas": 1}) == ["granted"]
    assert answers(world, "restart", ["the-two"]) == ["granted"]


def test_an_application_counts_with_the_larger_of_what_it_uses_and_was_granted(world: World) -> None:
    world.release(app_id := world.app(plan="standard", replicas=2))
    serves_from(world, app_id)
    assert needed(world) == 2 * STANDARD, "one of the two serves"
    changed(world, app_id, formation={"web": 0})
    assert needed(world) == STANDARD, "it serves until it leaves"
    changed(world, app_id, formation={"web": 1}, plan_slug="pro", price_per_hour_micro=PRO)
    assert needed(world) == PRO
    assert needed(world, without=app_id) == 0


def test_what_is_not_to_run_does_not_count(world: World) -> None:
    world.app("Fresh")
    world.release(stopped := world.app("Stopped"))
    world.release(deleted := world.app("Gone"))
    changed(world, stopped, wanted=Wanted.STOPPED)
    changed(world, deleted, deleted_at=world.now)
    assert needed(world) == 0


def test_a_deployment_on_its_way_counts_until_it_has_failed(world: World) -> None:
    world.release(app_id := world.app("Shop", plan="standard", replicas=2))
    changed(world, app_id, wanted=Wanted.STOPPED)  # a deployment starts it
    assert answers(world, "deploy", ["shop"], {}) == ["granted"]
    for status in ("queued", "building", "deploying", "failed", "cancelled"):
        with world.database.transaction() as session:
            deployment = session.scalars(sa.select(Deployment).where(Deployment.version == 2)).one()
            deployment.status = DeploymentStatus(status)
        assert needed(world) == (0 if status in ("failed", "cancelled") else 2 * STANDARD), status


def test_process_types_that_nobody_scaled_and_what_is_kept_count_too(world: World) -> None:
    world.release(app_id := world.app(), process_types={"web": "a", "worker": "b", "release": "c"})
    changed(world, app_id, storage_price_micro=10**9)  # of a GB; a kilobyte is kept
    assert needed(world) == 2 * HOBBY + 1000


def test_it_costs_the_same_queries_for_any_number_of_applications(world: World) -> None:
    def queries() -> int:
        seen: list[object] = []

        def counted(*given: object) -> None:
            seen.append(given)

        sa.event.listen(world.database.engine, "before_cursor_execute", counted)
        needed(world)
        sa.event.remove(world.database.engine, "before_cursor_execute", counted)
        return len(seen)

    world.release(world.app("App"))
    before = queries()
    for number in range(6):
        world.release(world.app(f"App {number}"))
    assert needed(world) == 7 * HOBBY
    assert queries() == before


# --- at the same time


def answer_in_a_thread(world: World, path: str, body: Any) -> tuple[threading.Thread, list[Any]]:
    client, found = world.client(), []
    thread = threading.Thread(target=lambda: found.append(client.post(f"/api/paas/apps/{path}", json=body)))
    thread.start()
    return thread, found


def waits_for_a_lock(world: World) -> None:
    """Until another transaction does."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(400):
        with world.database.reading() as session:
            if session.scalar(waiting):
                return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits")


@pytest.mark.postgres
def test_of_two_requests_at_the_same_time_the_second_sees_what_the_first_was_granted(on_postgres: World) -> None:
    world = on_postgres
    first = world.app("one", slug="the-one")
    world.app("two", slug="the-two")
    set_balance(world, "0.0069")
    with world.database.transaction() as session:
        verbs.deploy(session, world.services, world.viewer(), session.get_one(App, first))
        thread, found = answer_in_a_thread(world, "the-two/deploy", {})
        waits_for_a_lock(world)
    thread.join(30)
    assert found[0].json()["code"] == "funds_missing"


@pytest.mark.postgres
def test_a_request_that_waits_for_the_charge_that_empties_the_wallet_is_refused(on_postgres: World) -> None:
    """And neither waits for the other: the charge holds the wallet, and then changes organization and applications."""
    world = on_postgres
    world.release(app_id := world.app("one", slug="the-one"))
    serves_from(world, app_id)
    organization_id = world.viewer().organization_id
    with world.database.transaction() as session:
        entry = Entry(
            organization_id, JournalKind.USAGE, -balance(session, organization_id), "usage", "an hour", "platform"
        )  # fmt: skip
        post(session, entry, currency="USD", now=world.now)
        session.get_one(App, app_id, with_for_update={"read": True, "key_share": True})  # as its usage record does
        thread, found = answer_in_a_thread(world, "the-one/scale", {"replicas": 2})
        waits_for_a_lock(world)
        after_charge(session, [organization_id], currency="USD", now=world.now)
    thread.join(30)
    assert found[0].json()["code"] == "organization_suspended"
    assert stored(world, app_id).formation == {"web": 1}
