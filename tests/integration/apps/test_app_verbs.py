"""Creating and changing applications, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from skypanel.activity.models import Activity
from skypanel.apps.create import FIRST_UID, create_app, draft_app
from skypanel.apps.guards import AppLimits
from skypanel.apps.models import App
from skypanel.apps.queries import get_app
from skypanel.apps.rules import HealthCheck
from skypanel.apps.update import draft_changes, update_app
from skypanel.db import Session
from skypanel.errors import Conflict, Invalid, NotFound
from skypanel.kit.slug import is_app_slug
from skypanel.orgs.models import Organization, Plan

if TYPE_CHECKING:
    from conftest import World


def plan(session: Session, slug: str) -> Plan:
    return session.scalars(sa.select(Plan).where(Plan.slug == slug)).one()


def test_an_application_has_what_was_asked_for_and_a_copy_of_its_plan(either_world: World) -> None:
    world = either_world
    with world.database.transaction() as session:
        world.make(
            session, world.viewer(), name="My Shop", branch="main", plan="pro", replicas=3,
            health=HealthCheck(type="http", path="/up"),
        )  # fmt: skip
    with world.database.transaction() as session:
        plan(session, "pro").price_per_hour_micro = 1
    with world.database.reading() as session:
        app = get_app(session, world.viewer("acme", "viewer"), "my-shop")
        assert (app.name, app.branch, app.formation, app.status) == ("My Shop", "main", {"web": 3}, "created")
        assert (app.price_per_hour_micro, app.max_replicas, app.memory_mb) == (69_400, 10, 2048)
        assert (app.health_type, app.health_path) == ("http", "/up")
        row = session.scalars(sa.select(Activity)).one()
        assert (row.verb, row.actor, row.object_id, row.address) == (
            "app.created", "owner@acme.example", app.id, "203.0.113.9",
        )  # fmt: skip


def test_a_slug_is_unique_over_all_organizations(either_world: World) -> None:
    world = either_world
    with world.database.transaction() as session:
        first = world.make(session, world.viewer("acme"), name="Shop")
        second = world.make(session, world.viewer("rival"), name="Shop")
        assert first.slug == "shop"
        assert second.slug.startswith("shop-")
        assert is_app_slug(second.slug)
        with pytest.raises(Conflict) as refused:
            world.make(session, world.viewer("rival"), name="Other", slug="shop")
        assert refused.value.code == "slug_taken"


@pytest.mark.parametrize("name", ["!!!", "a", "7", "api", "日本語", "www", "-x-", "A" * 80, "ab", "1" * 80])
def test_any_name_gets_a_slug_that_can_be_a_host_name(world: World, name: str) -> None:
    with world.database.transaction() as session:
        assert is_app_slug(world.make(session, world.viewer(), name=name).slug)


@pytest.mark.parametrize(
    "slug", ["Shop", "-shop", "shop-", "a", "api", "sh op", "x" * 41, "shop.evil", "shop\n", "9shop"]
)
def test_a_slug_that_is_no_host_name_is_refused(world: World, slug: str) -> None:
    with pytest.raises(Invalid) as refused:
        draft_app(name="x", git_url="https://e.com/x", check_git_url=world.refuse_local, slug=slug)
    assert refused.value.code == "slug_invalid"


def test_applications_created_at_once_share_neither_slug_nor_user_id(either_world: World) -> None:
    world = either_world
    slugs: list[str] = []

    def create(organization: str) -> None:
        for _ in range(3):
            with world.database.transaction() as session:
                slugs.append(world.make(session, world.viewer(organization), name="Race").slug)

    threads = [threading.Thread(target=create, args=(name,)) for name in ("acme", "rival") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(slugs)) == 18
    with world.database.reading() as session:
        uids = list(session.scalars(sa.select(App.uid).order_by(App.uid)))
    assert uids == list(range(FIRST_UID, FIRST_UID + 18))


def test_two_that_want_one_slug_get_one_application_and_one_conflict(either_world: World) -> None:
    world = either_world
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def create(organization: str) -> None:
        barrier.wait(30)
        try:
            with world.database.transaction() as session:
                world.make(session, world.viewer(organization), name="Mine", slug="the-slug")
            outcomes.append("created")
        except Conflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=create, args=(name,)) for name in ("acme", "rival") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["created", "slug_taken", "slug_taken", "slug_taken"]


def test_a_user_id_is_never_given_out_twice(world: World) -> None:
    with world.database.transaction() as session:
        gone = world.make(session, world.viewer(), name="Gone")
        uid = gone.uid
        gone.deleted_at, gone.slug = world.now, "gone-deleted"
        assert world.make(session, world.viewer(), name="Gone").uid == uid + 1


def test_the_limit_of_applications_holds_and_an_admin_may_change_it(either_world: World) -> None:
    world = either_world
    draft = draft_app(name="Shop", git_url="https://e.com/x", check_git_url=world.refuse_local)
    limits = AppLimits(max_apps_per_org=2)
    with world.database.transaction() as session:
        for _ in range(2):
            app = create_app(session, viewer=world.viewer(), draft=draft, limits=limits, now=world.now)
        with pytest.raises(Conflict) as refused:
            create_app(session, viewer=world.viewer(), draft=draft, limits=limits, now=world.now)
        assert refused.value.code == "app_limit"
        create_app(session, viewer=world.viewer("rival"), draft=draft, limits=limits, now=world.now)
        session.get_one(Organization, world.viewer().organization_id).max_apps = 3
        create_app(session, viewer=world.viewer(), draft=draft, limits=limits, now=world.now)
        app.deleted_at = world.now
        session.flush()
        create_app(session, viewer=world.viewer(), draft=draft, limits=limits, now=world.now)


def test_a_trusted_runtime_serves_one_organization_only(world: World) -> None:
    draft = draft_app(name="Shop", git_url="https://e.com/x", check_git_url=world.refuse_local)
    limits = AppLimits(10, single_organization=True)
    with world.database.transaction() as session:
        app = create_app(session, viewer=world.viewer("acme"), draft=draft, limits=limits, now=world.now)
        create_app(session, viewer=world.viewer("acme"), draft=draft, limits=limits, now=world.now)
        with pytest.raises(Conflict) as refused:
            create_app(session, viewer=world.viewer("rival"), draft=draft, limits=limits, now=world.now)
        assert refused.value.code == "single_organization"
        for row in session.scalars(sa.select(App)):
            row.deleted_at = world.now
        session.flush()
        assert app.deleted_at is not None
        create_app(session, viewer=world.viewer("rival"), draft=draft, limits=limits, now=world.now)


def test_a_suspended_organization_creates_nothing(world: World) -> None:
    with world.database.transaction() as session:
        session.get_one(Organization, world.viewer().organization_id).status = "suspended"
        with pytest.raises(Conflict) as refused:
            world.make(session, world.viewer())
    assert refused.value.code == "organization_suspended"


def test_replicas_have_to_fit_the_plan(world: World) -> None:
    with world.database.transaction() as session:
        with pytest.raises(Invalid) as refused:
            world.make(session, world.viewer(), plan="hobby", replicas=2)
        assert refused.value.code == "replicas_above_plan"
        with pytest.raises(Invalid):
            world.make(session, world.viewer(), replicas=0)
        with pytest.raises(Invalid) as refused:
            world.make(session, world.viewer(), plan="gold")
        assert refused.value.code == "plan_unknown"
        assert "hobby, standard, pro, business" in refused.value.detail


def test_a_retired_plan_cannot_be_chosen_and_the_first_is_the_default(world: World) -> None:
    with world.database.transaction() as session:
        assert world.make(session, world.viewer()).plan_slug == "hobby"
        plan(session, "hobby").retired_at = world.now
        assert world.make(session, world.viewer()).plan_slug == "standard"
        with pytest.raises(Invalid):
            world.make(session, world.viewer(), plan="hobby")


def test_changes_apply_and_the_feed_says_what_differs(either_world: World) -> None:
    world = either_world
    app_id = world.app(plan="standard", replicas=2)
    with world.database.transaction() as session:
        app = get_app(session, world.viewer(), app_id)
        changes = draft_changes(
            check_git_url=world.refuse_local, name="Store", branch="next", plan="pro", build_cache=False
        )
        updated = update_app(session, app=app, changes=changes, by=world.viewer().actor, now=world.now)
        assert updated.fields == ("name", "branch", "plan", "build_cache")
        assert updated.needs_restart
    with world.database.transaction() as session:
        app = get_app(session, world.viewer(), "shop")
        assert (app.name, app.branch, app.price_per_hour_micro, app.build_cache) == ("Store", "next", 69_400, False)
        feed = session.scalars(sa.select(Activity).where(Activity.verb == "app.updated")).one()
        assert feed.detail["plan"] == {"before": "standard", "after": "pro"}
        again = update_app(session, app=app, changes=changes, by=world.viewer().actor, now=world.now)
        assert again.fields == ()
        too_small = replace(changes, plan="hobby")
        with pytest.raises(Invalid):
            update_app(session, app=app, changes=too_small, by=world.viewer().actor, now=world.now)


def test_naming_the_plan_it_has_keeps_the_price_it_was_chosen_at(world: World) -> None:
    app_id = world.app(plan="pro")
    with world.database.transaction() as session:
        plan(session, "pro").price_per_hour_micro = 99
        app = get_app(session, world.viewer(), app_id)
        changes = draft_changes(check_git_url=world.refuse_local, plan="pro")
        update_app(session, app=app, changes=changes, by=world.viewer().actor, now=world.now + timedelta(days=1))
        assert app.price_per_hour_micro == 69_400


@pytest.mark.parametrize("wanted", ["nope", "", "a\0b", "x" * 5000, "' OR 1=1 --", "SHOP", "%", "\ud800"])
def test_an_odd_id_is_simply_not_found(either_world: World, wanted: str) -> None:
    either_world.app()
    with either_world.database.reading() as session, pytest.raises(NotFound):
        get_app(session, either_world.viewer(), wanted)


def test_another_organizations_application_is_not_found(world: World) -> None:
    app_id = world.app()
    with world.database.reading() as session:
        for wanted in (app_id, "shop"):
            with pytest.raises(NotFound):
                get_app(session, world.viewer("rival"), wanted)
