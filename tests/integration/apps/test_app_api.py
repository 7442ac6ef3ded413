"""Applications over HTTP: bodies, statuses, problems."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from skypanel.apps.models import App, BuildpackName
from skypanel.deployments.models import Deployment
from skypanel.jobs import Job
from skypanel.orgs.models import Organization, Plan

if TYPE_CHECKING:
    from conftest import World

URL = "https://git.example.com/shop.git"
NEW = {"name": "Shop", "git_url": URL}


def jobs(world: World) -> list[tuple[str, str | None]]:
    with world.database.reading() as session:
        return [(job.kind, job.key) for job in session.scalars(sa.select(Job).order_by(Job.seq))]


def test_a_created_application_has_the_documented_fields(world: World) -> None:
    answer = world.client().post(
        "/api/paas/apps",
        json={**NEW, "plan": "pro", "replicas": 3, "branch": "main", "health_check": {"type": "http", "path": "/up"}},
    )
    assert answer.status_code == 201
    app = answer.json()["app"]
    app_id = app.pop("id")
    assert app == {
        "name": "Shop", "slug": "shop", "status": "created", "status_reason": None, "wanted": "running",
        "url": "http://shop.apps.localhost:8080", "git_url": URL, "branch": "main", "buildpack": "auto",
        "build_cache": True,
        "health_check": {"type": "http", "path": "/up", "interval_s": 30, "timeout_s": 5, "retries": 3},
        "plan": {
            "slug": "pro", "name": "Pro", "price_per_hour": "0.0694", "price_per_month": "50.662",
            "storage_price": "0.00", "log_price": "0.00", "currency": "USD",
            "cpu": 2.0, "memory_mb": 2048, "disk_mb": 40960, "max_replicas": 10,
            "features": ["custom_domain", "auto_scaling", "ssl"],
        },
        "replicas": {"desired": 3, "running": 0, "max": 10}, "formation": {"web": 3}, "process_types": {},
        "cost_per_hour": "0.2082", "currency": "USD", "current_version": None,
        "created_at": "2026-05-01T12:00:00.000000Z",
    }  # fmt: skip
    for wanted in (app_id, "shop"):
        assert world.client().get(f"/api/paas/apps/{wanted}").json()["app"] == {**app, "id": app_id}


def test_a_running_application_counts_every_process_type_until_it_is_stopped(world: World) -> None:
    client, app_id = world.client(), world.app(plan="standard", replicas=2)
    world.release(app_id, process_types={"web": "a", "worker": "b", "release": "c"})
    app = client.get("/api/paas/apps/shop").json()["app"]
    assert app["replicas"] == {"desired": 2, "running": 1, "max": 3}
    assert app["formation"] == {"web": 2, "worker": 1}
    assert (app["cost_per_hour"], app["current_version"], app["status"]) == ("0.1041", 1, "running")
    stopped = client.post("/api/paas/apps/shop/stop")
    assert stopped.status_code == 202
    assert stopped.json()["app"]["cost_per_hour"] == "0.00"
    assert stopped.json()["app"]["wanted"] == "stopped"
    assert jobs(world)[-1] == ("app.stop", f"app:{app_id}")
    started = client.post("/api/paas/apps/shop/restart").json()
    assert started["app"]["wanted"] == "running"
    assert started["job_id"]


def test_the_list_pages_newest_first_and_costs_the_same_queries_at_any_length(world: World) -> None:
    for number in range(7):
        world.release(world.app(f"App {number}"))
    client = world.client()
    first = client.get("/api/paas/apps?limit=3").json()
    assert [app["slug"] for app in first["items"]] == ["app-6", "app-5", "app-4"]
    rest = client.get("/api/paas/apps", params={"limit": 200, "cursor": first["next_cursor"]}).json()
    assert [app["slug"] for app in rest["items"]] == ["app-3", "app-2", "app-1", "app-0"]
    assert rest["next_cursor"] is None
    assert client.get("/api/paas/apps?cursor=nonsense").json()["code"] == "cursor_invalid"

    def queries(limit: int) -> int:
        count = 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += 1

        sa.event.listen(world.database.engine, "before_cursor_execute", counted)
        client.get(f"/api/paas/apps?limit={limit}")
        sa.event.remove(world.database.engine, "before_cursor_execute", counted)
        return count

    assert queries(1) == queries(7)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"git_url": URL}, "invalid", "name"),
        ({"name": "x"}, "invalid", "git_url"),
        ({**NEW, "name": ""}, "app_name_invalid", "name"),
        ({**NEW, "name": "a\nb"}, "app_name_invalid", "name"),
        ({**NEW, "git_url": "file:///etc/passwd"}, "git_refused", "git_url"),
        ({**NEW, "git_url": "ext::sh -c id"}, "git_refused", "git_url"),
        ({**NEW, "git_url": "https://u:p@example.com/x"}, "git_url_credentials", "git_url"),
        ({**NEW, "branch": "--upload-pack=id"}, "branch_invalid", "branch"),
        ({**NEW, "buildpack": "a b"}, "buildpack_invalid", "buildpack"),
        ({**NEW, "buildpack": ["file:///x"]}, "git_refused", "buildpack"),
        ({**NEW, "plan": "gold"}, "plan_unknown", "plan"),
        ({**NEW, "replicas": 2, "plan": "hobby"}, "replicas_above_plan", "replicas"),
        ({**NEW, "replicas": 0}, "invalid", "replicas"),
        ({**NEW, "replicas": 1.5}, "invalid", "replicas"),
        ({**NEW, "slug": "api"}, "slug_invalid", "slug"),
        ({**NEW, "health_check": {"type": "exec"}}, "invalid", "health_check.type"),
        ({**NEW, "health_check": {"path": "up"}}, "health_check_invalid", "health_check.path"),
        ({**NEW, "health_check": {"interval_s": 2, "timeout_s": 9}}, "health_check_invalid", "health_check.timeout_s"),
        ({**NEW, "surprise": 1}, "invalid", "surprise"),
    ],
)
def test_what_is_not_possible_names_the_field(world: World, body: dict[str, object], code: str, field: str) -> None:
    answer = world.client().post("/api/paas/apps", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_taken_slug_is_a_conflict_and_a_full_organization_too(world: World) -> None:
    world.app(organization="rival")
    assert world.client().post("/api/paas/apps", json={**NEW, "slug": "shop"}).json()["code"] == "slug_taken"
    world.services = replace(world.services, max_apps_per_org=1)
    assert world.client().post("/api/paas/apps", json=NEW).status_code == 201
    full = world.client().post("/api/paas/apps", json=NEW)
    assert (full.status_code, full.json()["code"]) == (409, "app_limit")


def test_a_retried_creation_makes_one_application(world: World) -> None:
    headers = {"Idempotency-Key": "once"}
    first = world.client().post("/api/paas/apps", json=NEW, headers=headers)
    second = world.client().post("/api/paas/apps", json=NEW, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(world.client().get("/api/paas/apps").json()["items"]) == 1


def test_settings_change_one_by_one(world: World) -> None:
    client, app_id = world.client(), world.app(plan="standard")

    def change(**fields: object) -> dict[str, Any]:
        answer = client.patch("/api/paas/apps/shop", json=fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    assert change(name="Store")["app"]["name"] == "Store"
    assert change(buildpack=["builtin:python", "builtin:nodejs"])["app"]["buildpack"] == [
        "builtin:python", "builtin:nodejs",
    ]  # fmt: skip
    assert change(buildpack="auto")["app"]["buildpack"] == "auto"
    assert change(health_check={"path": "/up"})["app"]["health_check"]["type"] == "http"
    health = change(health_check={"interval_s": 10})["app"]["health_check"]
    assert health == {"type": "http", "path": "/up", "interval_s": 10, "timeout_s": 5, "retries": 3}
    assert change(branch="next")["app"]["branch"] == "next"
    assert change(branch="")["app"]["branch"] == ""
    assert change(build_cache=False)["app"]["build_cache"] is False
    assert change(plan="pro")["job_id"] is None, "nothing runs that could be rolled"
    world.release(app_id)
    assert change(plan="business")["job_id"] is not None
    assert jobs(world)[-1] == ("app.restart", f"app:{app_id}")
    assert change(plan="business")["job_id"] is None
    assert client.patch("/api/paas/apps/shop", json={"replicas": 3}).status_code == 422


def test_a_deploy_answers_with_the_deployment_and_its_job(world: World) -> None:
    client, app_id = world.client(), world.app()
    answer = client.post("/api/paas/apps/shop/deploy")
    assert answer.status_code == 202
    deployment = answer.json()["deployment"]
    assert (deployment["version"], deployment["status"], deployment["kind"]) == (1, "queued", "deploy")
    assert deployment["requested_by"] == "owner@acme.example"
    assert deployment["stages"] == []
    job = client.get(f"/api/paas/jobs/{answer.json()['job_id']}")
    assert job.json()["job"]["state"] == "queued"
    assert jobs(world) == [("deploy", f"app:{app_id}")]
    assert client.get("/api/paas/apps/shop/deployments/1").json() == {"deployment": deployment}
    pinned = client.post("/api/paas/apps/shop/deploy", json={"commit": "abc1234"})
    assert pinned.json()["deployment"]["commit"] == "abc1234"
    history = client.get("/api/paas/apps/shop/deployments").json()
    assert [(item["version"], item["status"]) for item in history["items"]] == [(2, "queued"), (1, "superseded")]
    for commit in ("main", "--help", "abc", "ABC1234", "a" * 65):
        assert client.post("/api/paas/apps/shop/deploy", json={"commit": commit}).status_code == 422


def test_a_deployment_is_cancelled(world: World) -> None:
    client = world.client()
    world.app()
    client.post("/api/paas/apps/shop/deploy")
    answer = client.post("/api/paas/apps/shop/deployments/1/cancel")
    assert answer.status_code == 202
    assert answer.json()["deployment"]["status"] == "cancelled"
    assert client.post("/api/paas/apps/shop/deployments/1/cancel").json()["code"] == "not_cancellable"
    for version in ("2", "0", "-1", "x", str(2**31), str(2**70)):
        assert client.post(f"/api/paas/apps/shop/deployments/{version}/cancel").status_code in (404, 422)


def test_a_rollback_goes_back_to_a_version_that_ran(world: World) -> None:
    client, app_id = world.client(), world.app()
    world.release(app_id, version=1)
    world.release(app_id, version=2)
    answer = client.post("/api/paas/apps/shop/rollback", json={"version": 1})
    assert answer.status_code == 202
    deployment = answer.json()["deployment"]
    assert (deployment["kind"], deployment["rolled_back_from"], deployment["source_version"]) == ("rollback", 2, 1)
    assert (deployment["slug_digest"], deployment["buildpack"], deployment["slug_size_bytes"]) == (
        "sha256:1", "Python (pip)", 1000,
    )  # fmt: skip
    assert client.post("/api/paas/apps/shop/rollback", json={"version": 3}).json()["code"] == "rollback_impossible"
    assert client.post("/api/paas/apps/shop/rollback", json={"version": 9}).status_code == 404
    assert client.post("/api/paas/apps/shop/rollback", json={}).status_code == 422


def test_scaling_stays_within_the_plan(world: World) -> None:
    client, app_id = world.client(), world.app(plan="standard")
    assert client.post("/api/paas/apps/shop/scale", json={"replicas": 2}).json()["code"] == "no_release"
    world.release(app_id, process_types={"web": "a", "worker": "b"})
    answer = client.post("/api/paas/apps/shop/scale", json={"replicas": 3})
    assert answer.status_code == 202
    assert answer.json()["app"]["replicas"]["desired"] == 3
    assert client.post("/api/paas/apps/shop/scale", json={"replicas": 4}).json()["code"] == "replicas_above_plan"
    worker = client.post("/api/paas/apps/shop/scale", json={"replicas": 0, "process_type": "worker"}).json()
    assert worker["app"]["formation"] == {"web": 3, "worker": 0}
    for body in ({}, {"replicas": -1}, {"replicas": "3; id"}, {"replicas": 1, "process_type": "../x"}):
        assert client.post("/api/paas/apps/shop/scale", json=body).status_code == 422


def test_replicas_are_shown_with_their_health_and_version(world: World) -> None:
    world.release(world.app(), version=4)
    (replica,) = world.client().get("/api/paas/apps/shop/replicas").json()["items"]
    assert (replica["name"], replica["version"], replica["state"], replica["health"]) == (
        "web.1",
        4,
        "healthy",
        "healthy",
    )
    assert (replica["node"], replica["restarts"], replica["last_failure"]) == ("here", 0, None)


def test_a_one_off_command_can_be_followed_and_cancelled(world: World) -> None:
    client, app_id = world.client(), world.app()
    assert client.post("/api/paas/apps/shop/run", json={"command": "ls"}).json()["code"] == "no_release"
    world.release(app_id)
    answer = client.post("/api/paas/apps/shop/run", json={"command": "echo $HOME; ls"})
    assert answer.status_code == 202
    run = answer.json()["run"]
    assert (run["command"], run["status"], run["exit_code"]) == ("echo $HOME; ls", "queued", None)
    assert client.get(f"/api/paas/apps/shop/runs/{run['id']}").json() == {"run": run}
    assert client.get(f"/api/paas/jobs/{answer.json()['job_id']}").status_code == 200
    assert world.client("rival").get(f"/api/paas/jobs/{answer.json()['job_id']}").status_code == 404
    cancelled = client.post(f"/api/paas/apps/shop/runs/{run['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["run"]["status"]) == (202, "cancelled")
    assert client.post(f"/api/paas/apps/shop/runs/{run['id']}/cancel").json()["code"] == "not_cancellable"
    assert client.get(f"/api/paas/apps/shop/runs/{app_id}").json()["code"] == "run_not_found"
    world.release(world.app("Other"))
    assert client.get(f"/api/paas/apps/other/runs/{run['id']}").status_code == 404
    assert client.post("/api/paas/apps/shop/run", json={"command": "  "}).status_code == 422


def test_a_deleted_application_is_gone_at_once_and_its_job_can_be_followed(world: World) -> None:
    client, app_id = world.client(), world.app()
    answer = client.delete("/api/paas/apps/shop")
    assert answer.status_code == 202
    assert client.get("/api/paas/apps/shop").status_code == 404
    assert client.get("/api/paas/apps").json()["items"] == []
    assert jobs(world) == [("app.delete", f"app:{app_id}")]
    assert client.get(f"/api/paas/jobs/{answer.json()['job_id']}").json()["job"]["kind"] == "app.delete"


def test_the_build_cache_is_cleared_by_a_job(world: World) -> None:
    client, app_id = world.client(), world.app()
    answer = client.delete("/api/paas/apps/shop/build-cache")
    assert answer.status_code == 202
    assert answer.json()["job_id"]
    assert jobs(world) == [("app.clear_build_cache", f"app:{app_id}")]
    assert client.delete("/api/paas/apps/shop/build-cache").json()["job_id"] is None, "the same is queued already"


def test_builds_are_limited_by_the_hour_and_rollbacks_are_not(world: World) -> None:
    world.services = replace(world.services, max_deployments_per_hour=2)
    client, app_id = world.client(), world.app()
    world.release(app_id, version=1)
    assert client.post("/api/paas/apps/shop/deploy").status_code == 202
    world.clock.advance(timedelta(minutes=30))
    refused = client.post("/api/paas/apps/shop/deploy")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "deploy_rate", "1800")
    assert client.post("/api/paas/apps/shop/rollback", json={"version": 1}).status_code == 202
    world.clock.advance(timedelta(minutes=30))
    assert client.post("/api/paas/apps/shop/deploy").status_code == 202


def test_a_suspended_organization_starts_nothing_and_still_sees_everything(world: World) -> None:
    client, app_id = world.client(), world.app()
    world.release(app_id)
    with world.database.transaction() as session:
        session.get_one(Organization, world.viewer().organization_id).status = "suspended"
    for path, body in (
        ("deploy", None),
        ("scale", {"replicas": 1}),
        ("restart", None),
        ("run", {"command": "ls"}),
        ("rollback", {"version": 1}),
    ):
        answer = client.post(f"/api/paas/apps/shop/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "organization_suspended"), path
    assert client.post("/api/paas/apps", json=NEW).json()["code"] == "organization_suspended"
    assert client.patch("/api/paas/apps/shop", json={"plan": "pro"}).json()["code"] == "organization_suspended"
    variables = client.put("/api/paas/apps/shop/env", json={"vars": {"A": "1"}})
    assert (variables.status_code, variables.json()["deployment"]) == (200, None)
    assert client.get("/api/paas/apps/shop").status_code == 200
    assert client.post("/api/paas/apps/shop/stop").status_code == 202
    assert jobs(world) == [("app.stop", f"app:{app_id}")]


def test_a_short_name_of_a_buildpack_has_to_stand_for_something(world: World) -> None:
    client = world.client()
    body = {**NEW, "buildpack": ["heroku/nodejs", "acme/secret"]}
    refused = client.post("/api/paas/apps", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "buildpack_unknown")
    with world.database.transaction() as session:
        session.add(BuildpackName(name="acme/secret", git_url="https://git.example.com/bp"))
    assert client.post("/api/paas/apps", json=body).json()["app"]["buildpack"] == ["heroku/nodejs", "acme/secret"]
    assert client.patch("/api/paas/apps/shop", json={"buildpack": "none/such"}).json()["code"] == "buildpack_unknown"


def test_plans_are_listed_in_the_operators_order(world: World) -> None:
    items = world.client("acme", "viewer").get("/api/paas/plans").json()["items"]
    assert [(plan["slug"], plan["price_per_hour"]) for plan in items] == [
        ("hobby", "0.0069"), ("standard", "0.0347"), ("pro", "0.0694"), ("business", "0.1389"),
    ]  # fmt: skip


def test_prices_of_storage_and_logs_are_shown_as_they_are_and_as_they_were_chosen(world: World) -> None:
    client = world.client()
    world.app(plan="pro")
    with world.database.transaction() as session:
        pro = session.scalars(sa.select(Plan).where(Plan.slug == "pro")).one()
        pro.storage_price_micro, pro.log_price_micro = 120, 2_500_000
    (pro_now,) = [plan for plan in client.get("/api/paas/plans").json()["items"] if plan["slug"] == "pro"]
    assert (pro_now["storage_price"], pro_now["log_price"]) == ("0.00012", "2.50")
    assert client.get("/api/paas/apps/shop").json()["app"]["plan"]["log_price"] == "0.00"
    client.patch("/api/paas/apps/shop", json={"plan": "standard"})
    client.patch("/api/paas/apps/shop", json={"plan": "pro"})
    chosen = client.get("/api/paas/apps/shop").json()["app"]["plan"]
    assert (chosen["storage_price"], chosen["log_price"]) == ("0.00012", "2.50")


def test_a_failed_request_leaves_nothing_behind(world: World) -> None:
    client = world.client()
    world.app()
    client.post("/api/paas/apps/shop/scale", json={"replicas": 1})
    with world.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Job)) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Deployment)) == 0
        assert session.scalars(sa.select(App.formation)).one() == {"web": 1}
