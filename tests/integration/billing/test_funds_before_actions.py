"""Each action that makes something dearer asks the wallet first: it carries an hour of it, or nothing is begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from apps_world import GIT_URL, World, build_world
from money_world import set_balance, stored

from skypanel.apps.models import App, Wanted
from skypanel.db import Database
from skypanel.deployments.models import Deployment
from skypanel.jobs import Job
from skypanel.kit.money import to_decimal_string

HOBBY, STANDARD = 6_900, 34_700  # an hour of one replica
ACTIONS: dict[str, tuple[str, str, Any, int]] = {
    "deploy": ("POST", "/shop/deploy", {}, HOBBY),
    "roll back": ("POST", "/shop/rollback", {"version": 1}, HOBBY),
    "scale": ("POST", "/shop/scale", {"replicas": 1}, HOBBY),
    "restart": ("POST", "/shop/restart", None, HOBBY),
    "change the plan": ("PATCH", "/shop", {"plan": "standard"}, STANDARD),
    "create": ("POST", "", {"name": "Second", "git_url": GIT_URL}, HOBBY),
}
Short = Callable[[int], World]


@pytest.fixture
def wallet_that_does_not_carry_an_hour(each_database: Database) -> Short:
    """Called with what the hour costs: a millionth is missing. Its application `shop` has two versions, is stopped,
    and so uses nothing."""
    world = build_world(each_database)
    app_id = world.app()
    for version in (1, 2):
        world.release(app_id, version=version)
    with world.database.transaction() as session:
        session.get_one(App, app_id).wanted = Wanted.STOPPED

    def short_of(hour: int) -> World:
        set_balance(world, to_decimal_string(hour - 1))
        return world

    return short_of


def begun(world: World) -> tuple[int, ...]:
    with world.database.reading() as session:
        tables = (App, Deployment, Job)
        return tuple(session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_refused_until_the_wallet_carries_an_hour_of_it(
    wallet_that_does_not_carry_an_hour: Short, action: str
) -> None:
    method, path, body, hour = ACTIONS[action]
    world = wallet_that_does_not_carry_an_hour(hour)
    before, client = begun(world), world.client()
    with world.database.reading() as session:
        app_id = session.scalars(sa.select(App.id)).one()
    refused = client.request(method, f"/api/paas/apps{path}", json=body)
    assert (refused.status_code, refused.json().get("code")) == (409, "funds_missing"), refused.text
    assert "0.000001 USD are missing" in refused.json()["detail"]
    app = stored(world, app_id)
    assert (begun(world), app.wanted, app.plan_slug) == (before, "stopped", "hobby")
    set_balance(world, to_decimal_string(hour))
    done = client.request(method, f"/api/paas/apps{path}", json=body)
    assert done.is_success, done.text


def test_what_makes_nothing_dearer_is_allowed_with_an_empty_wallet(wallet_that_does_not_carry_an_hour: Short) -> None:
    world = wallet_that_does_not_carry_an_hour(1)
    answer = world.client().post("/api/paas/apps/shop/scale", json={"replicas": 0})
    assert answer.is_success, answer.text
