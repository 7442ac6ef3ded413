"""Applications' routes: what the document lists, and hostile ids. Whose and by whom: tests/attack/test_api_roles.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import World

# The rest needs the role developer.
VIEWERS = {
    "list_applications", "get_application", "list_application_deployments", "get_application_deployment",
    "list_application_replicas", "get_application_run", "list_variables", "export_variables", "list_plans",
    "get_job_state",
}  # fmt: skip

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


def test_the_document_has_every_route_of_the_guide_and_the_product(world: World) -> None:
    paths = {f"{method} {path}" for _, method, path, _ in operations(world)}
    assert set(ROUTES.strip().split("\n")) <= paths


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
    world.release(world.app())
    client = world.client()
    for hostile in ("%27%20OR%201%3D1--", "..%2F..%2Fetc", "%00", "%ED%A0%80", "a" * 3000, "%0d%0aX:1", "{{7*7}}"):
        for path in ("apps/{}", "apps/{}/env", "apps/shop/runs/{}", "apps/shop/deployments/{}", "jobs/{}"):
            assert client.get(f"/api/paas/{path.format(hostile)}").status_code in (400, 404, 422), (path, hostile)
        assert client.delete(f"/api/paas/apps/shop/env/{hostile}").status_code in (400, 404, 422)
