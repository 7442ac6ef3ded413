"""What a platform administrator sees and sets."""

from __future__ import annotations

from datetime import datetime

import pytest

from skypanel.accounts.users import create_admin, find_user
from skypanel.apps.models import App
from skypanel.orgs.plans import list_active_plans, seed_plans

NANO = {
    "slug": "nano", "name": "Nano", "cpu_millis": 250, "memory_mb": 256, "disk_mb": 5120, "max_replicas": 1,
    "price_per_hour": "0.003",
}  # fmt: skip


def _app(api, person, plan_slug: str, now: datetime) -> None:
    with api.database.transaction() as session:
        plan = next(plan for plan in list_active_plans(session) if plan.slug == plan_slug)
        session.add(
            App(
                organization_id=person.organization["id"], name="A", slug=f"a-{plan_slug}", uid=30_000, git_url="x",
                branch="", buildpacks=[], plan_id=plan.id, plan_slug=plan.slug, cpu_millis=plan.cpu_millis,
                memory_mb=plan.memory_mb, disk_mb=plan.disk_mb, max_replicas=plan.max_replicas,
                price_per_hour_micro=plan.price_per_hour_micro, formation={"web": 1}, created_at=now,
            )
        )  # fmt: skip


def test_the_four_default_plans_are_seeded_once_and_exactly(either_api):
    admin = either_api.admin()
    with either_api.database.transaction() as session:
        assert seed_plans(session, now=either_api.clock.now()) == []
    items = admin.get("/api/admin/paas/plans").json()["items"]
    keys = ("slug", "cpu_millis", "memory_mb", "disk_mb", "max_replicas", "price_per_hour", "price_per_month")
    assert [tuple(item[key] for key in keys) for item in items] == [
        ("hobby", 500, 512, 10240, 1, "0.0069", "5.037"),
        ("standard", 1000, 1024, 20480, 3, "0.0347", "25.331"),
        ("pro", 2000, 2048, 40960, 10, "0.0694", "50.662"),
        ("business", 4000, 4096, 81920, 20, "0.1389", "101.397"),
    ]
    assert {item["currency"] for item in items} == {"USD"}


def test_seeding_keeps_what_the_operator_changed(api):
    admin = api.admin()
    admin.patch("/api/admin/paas/plans/hobby", {"price_per_hour": "0.01"})
    with api.database.transaction() as session:
        seed_plans(session, now=api.clock.now())
    assert admin.get("/api/admin/paas/plans/hobby").json()["plan"]["price_per_hour"] == "0.01"


def test_a_plan_is_made_edited_retired_and_removed(api):
    admin = api.admin()
    made = admin.post("/api/admin/paas/plans", NANO)
    assert made.status_code == 201, made.text
    assert admin.post("/api/admin/paas/plans", NANO).json()["code"] == "plan_exists"
    edited = admin.patch("/api/admin/paas/plans/nano", {"max_replicas": 2, "features": ["ssl"]}).json()["plan"]
    assert (edited["max_replicas"], edited["features"], edited["price_per_hour"]) == (2, ["ssl"], "0.003")
    assert admin.post("/api/admin/paas/plans/nano/retire").json()["plan"]["retired_at"] is not None
    with api.database.reading() as session:
        assert "nano" not in {plan.slug for plan in list_active_plans(session)}
    assert admin.post("/api/admin/paas/plans/nano/reinstate").json()["plan"]["retired_at"] is None
    assert admin.delete("/api/admin/paas/plans/nano").status_code == 204
    assert admin.get("/api/admin/paas/plans/nano").json()["code"] == "plan_not_found"


def test_a_plan_in_use_is_only_retired_and_editing_it_leaves_its_apps_alone(either_api):
    admin, ada = either_api.admin(), either_api.register("ada@example.com", "Engines")
    _app(either_api, ada, "hobby", either_api.clock.now())
    answer = admin.delete("/api/admin/paas/plans/hobby")
    assert (answer.status_code, answer.json()["code"]) == (409, "plan_in_use")
    admin.patch("/api/admin/paas/plans/hobby", {"price_per_hour": "9.99"})
    assert admin.post("/api/admin/paas/plans/hobby/retire").status_code == 200
    with either_api.database.reading() as session:
        assert session.query(App).one().price_per_hour_micro == 6_900


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price_per_hour": "0.0000001"}, "price_per_hour"),
        ({"price_per_hour": "-1"}, "price_per_hour"),
        ({"price_per_hour": "1e3"}, "price_per_hour"),
        ({"price_per_hour": 0.1}, "price_per_hour"),
        ({"slug": "Nano"}, "slug"),
        ({"slug": "-x-"}, "slug"),
        ({"features": ["teleport"]}, "features"),
        ({"memory_mb": 1}, "memory_mb"),
        ({"cpu_millis": 10**12}, "cpu_millis"),
        ({"name": " "}, "name"),
    ],
)
def test_a_plan_that_is_not_valid_names_the_field(api, change, field):
    answer = api.admin().post("/api/admin/paas/plans", NANO | change)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_plans_field_is_not_emptied(api):
    answer = api.admin().patch("/api/admin/paas/plans/hobby", {"name": None})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


def test_the_overview_counts(either_api):
    admin, ada = either_api.admin(), either_api.register("ada@example.com", "Engines")
    _app(either_api, ada, "hobby", either_api.clock.now())
    _app_count = either_api.admin().get("/api/admin/paas/overview").json()
    assert _app_count == {
        "users": 2, "organizations": 1, "apps": {"created": 1}, "deployments_last_day": {}, "replicas": {},
    }  # fmt: skip
    item = admin.get("/api/admin/paas/organizations").json()["items"][0]
    assert (item["slug"], item["members"], item["apps"], item["max_apps"]) == ("engines", 1, 1, 10)


def test_organizations_page_and_their_limits_are_set(either_api):
    admin, ada = either_api.admin(), either_api.register("ada@example.com", "Engines")
    for n in range(3):
        ada.post("/api/organizations", {"name": f"Org {n}"})
    first = admin.get("/api/admin/paas/organizations", params={"limit": 3}).json()
    rest = admin.get("/api/admin/paas/organizations", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [o["slug"] for o in first["items"] + rest["items"]] == ["org-2", "org-1", "org-0", "engines"]
    assert admin.patch("/api/admin/paas/organizations/engines", {"max_apps": 2}).status_code == 200
    assert ada.get(ada.home).json()["organization"]["max_apps"] == 2
    assert ada.get(f"{ada.home}/activity").json()["items"][0]["verb"] == "organization.limits_changed"
    assert admin.patch("/api/admin/paas/organizations/engines", {"max_apps": None}).status_code == 200
    assert ada.get(ada.home).json()["organization"]["max_apps"] == 10
    assert admin.get("/api/admin/paas/organizations/none").status_code == 404


def test_an_administrator_is_made_of_an_existing_account_too(api):
    ada = api.register("ada@example.com", "Engines")
    with api.database.transaction() as session:
        create_admin(
            session, passwords=api.services.auth.passwords, email="Ada@example.com", name="Ada",
            password="another password", now=api.clock.now(),
        )  # fmt: skip
        user = find_user(session, email="ada@example.com")
        assert user is not None
        assert user.id == ada.id
    assert api.login("ada@example.com").status_code == 401
    assert api.login("ada@example.com", "another password").json()["user"]["is_admin"] is True
