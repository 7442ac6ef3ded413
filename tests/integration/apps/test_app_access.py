"""Every route of applications, as the OpenAPI document lists them: whose, by whom, without a sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.testclient import TestClient

if TYPE_CHECKING:
    from conftest import World

BODIES: dict[str, dict[str, object]] = {
    "create_application": {"name": "Shop", "git_url": "https://git.example.com/x.git"},
    "update_application": {"name": "Shop"},
    "roll_back_application": {"version": 1},
    "scale_application": {"replicas": 1},
    "run_command": {"command": "ls"},
    "set_application_variables": {"vars": {"A": "1"}},
    "import_variables": {"content": "A=1"},
}
# The rest needs the role developer.
VIEWERS = {
    "list_applications", "get_application", "list_application_deployments", "get_application_deployment",
    "list_application_replicas", "get_application_run", "list_variables", "export_variables", "list_plans",
    "get_job_state",
}  # fmt: skip
ADMINS = {"delete_application"}


ROUTES = """
GET /api/paas/apps
POST /api/paas/apps
GET /api/paas/apps/{id}
PATCH /api/paas/apps/{id}
DELETE /api/paas/apps/{id}
POST /api/paas/apps/{id}/deploy
POST /api/paas/apps/{id}/rollback
POST /api/paas/apps/{id}/scale
POST /api/paas/apps/{id}/restart
POST /api/paas/apps/{id}/stop
POST /api/paas/apps/{id}/run
GET /api/paas/apps/{id}/runs/{run_id}
GET /api/paas/apps/{id}/deployments
GET /api/paas/apps/{id}/deployments/{version}
POST /api/paas/apps/{id}/deployments/{version}/cancel
GET /api/paas/apps/{id}/replicas
GET /api/paas/apps/{id}/env
PUT /api/paas/apps/{id}/env
DELETE /api/paas/apps/{id}/env/{key}
POST /api/paas/apps/{id}/env/import
GET /api/paas/apps/{id}/env/export
DELETE /api/paas/apps/{id}/build-cache
GET /api/paas/plans
GET /api/paas/jobs/{job_id}
"""


def operations(world: World) -> list[tuple[str, str, str, dict[str, object]]]:
    """(operation, method, path, its documentation) of this room's routes."""
    rooms = {"apps", "deployments", "operations", "runs", "environment", "jobs", "plans"}
    document = world.api().openapi()
    return [
        (operation["operationId"], method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if rooms & set(operation.get("tags", []))
    ]


def ask(client: TestClient, world: World, operation: str, method: str, path: str, ids: dict[str, str]) -> int:
    for name, value in ids.items():
        path = path.replace("{" + name + "}", value)
    return client.request(method, path, json=BODIES.get(operation)).status_code


def prepared(world: World, organization: str = "acme") -> dict[str, str]:
    """An application with a release, a run, a job and a variable: everything a path may name."""
    app_id = world.app(organization=organization)
    world.release(app_id)
    client = world.client(organization)
    client.put(f"/api/paas/apps/{app_id}/env?deploy=false", json={"vars": {"A": "1"}})
    run = client.post(f"/api/paas/apps/{app_id}/run", json={"command": "ls"}).json()
    return {"id": app_id, "version": "1", "run_id": run["run"]["id"], "job_id": run["job_id"], "key": "A"}


def test_the_document_has_every_route_of_the_guide_and_the_product(world: World) -> None:
    paths = {f"{method} {path}" for _, method, path, _ in operations(world)}
    assert set(ROUTES.strip().split("\n")) <= paths


def test_everything_of_another_organization_is_not_found(world: World) -> None:
    ids = prepared(world)
    world.app("Other", organization="rival")
    stranger = world.client("rival")
    for operation, method, path, _ in operations(world):
        if "{" in path:
            assert ask(stranger, world, operation, method, path, ids) == 404, operation
            if "{id}" in path:
                assert ask(stranger, world, operation, method, path, {**ids, "id": "shop"}) == 404, operation
    assert [app["slug"] for app in stranger.get("/api/paas/apps").json()["items"]] == ["other"]
    owner = world.client()
    assert owner.get("/api/paas/apps/shop").json()["app"]["wanted"] == "running"
    assert [item["name"] for item in owner.get("/api/paas/apps/shop/env").json()["items"]] == ["A"]


def test_naming_another_organization_does_not_open_it(world: World) -> None:
    prepared(world)
    stranger = world.client("rival")
    for organization in ("acme", world.viewer("acme").organization_id):
        answer = stranger.get("/api/paas/apps/shop", headers={"X-Organization-Id": organization})
        assert answer.status_code == 404


def test_each_role_may_do_what_it_may_and_nothing_else(world: World) -> None:
    for operation, method, path, _ in operations(world):
        allowed = {"owner", "admin"}
        if operation not in ADMINS:
            allowed.add("developer")
        if operation in VIEWERS:
            allowed.add("viewer")
        ids = prepared(world)
        # The one with the widest role comes last: it may be the one that deletes the application.
        for role in ("viewer", "developer", "admin"):
            status = ask(world.client("acme", role), world, operation, method, path, ids)
            assert (status != 403) == (role in allowed), (operation, role, status)
            assert status < 500, (operation, role)


def test_nobody_gets_anything_without_signing_in(world: World) -> None:
    ids = prepared(world)
    api = world.api()
    for headers in ({}, {"Authorization": "Bearer skp_wrong"}, {"Authorization": "Basic YTpi"}):
        client = TestClient(api, headers=headers)
        for operation, method, path, _ in operations(world):
            assert ask(client, world, operation, method, path, ids) == 401, operation


def test_every_operation_documents_the_problems_it_may_answer_with(world: World) -> None:
    for operation, method, path, documented in operations(world):
        responses = documented["responses"]
        assert isinstance(responses, dict)
        assert {"401", "422"} <= set(responses), operation
        if "{" in path:
            assert "404" in responses, operation
        if operation not in VIEWERS:
            assert "403" in responses, (operation, method)


def test_hostile_ids_in_the_path_are_not_found_and_never_an_error(world: World) -> None:
    prepared(world)
    client = world.client()
    for hostile in ("%27%20OR%201%3D1--", "..%2F..%2Fetc", "%00", "%ED%A0%80", "a" * 3000, "%0d%0aX:1", "{{7*7}}"):
        for path in ("apps/{}", "apps/{}/env", "apps/shop/runs/{}", "apps/shop/deployments/{}", "jobs/{}"):
            assert client.get(f"/api/paas/{path.format(hostile)}").status_code in (400, 404, 422), (path, hostile)
        assert client.delete(f"/api/paas/apps/shop/env/{hostile}").status_code in (400, 404, 422)
