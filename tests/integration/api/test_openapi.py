"""The document at /api/openapi.json, and what it lets us ask of every route at once."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import validate

PROBLEM = "application/problem+json"
OPEN = {"/api/auth/register", "/api/auth/login"}
# Nobody's organization in particular: what they answer does not depend on it.
WITHOUT_ORGANIZATION = ("/api/auth/", "/api/invitations/", "/api/admin/", "/api/paas/plans")


@pytest.fixture
def document(api) -> dict[str, Any]:
    return api.client.get("/api/openapi.json").json()


def _operations(document):
    return [
        (method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/api/")
    ]


def _filled(path: str, organization: str = "any") -> str:
    parts = [part if not part.startswith("{") else "1" for part in path.split("/")]
    if path.startswith("/api/organizations/{id}"):
        parts[3] = organization
    return "/".join(parts)


def test_the_document_is_valid_openapi(document):
    validate(document)
    assert document["info"]["version"] == "1.2.3"


def test_every_route_of_the_specification_for_people_and_organizations_is_there(document):
    wanted = {
        "/api/auth/register": {"post"},
        "/api/auth/login": {"post"},
        "/api/auth/logout": {"post"},
        "/api/auth/me": {"get"},
        "/api/auth/tokens": {"get", "post"},
        "/api/auth/tokens/{id}": {"delete"},
        "/api/organizations": {"get", "post"},
        "/api/organizations/{id}": {"get", "patch"},
        "/api/organizations/{id}/members": {"get"},
        "/api/organizations/{id}/members/{user_id}": {"get", "patch", "delete"},
        "/api/organizations/{id}/invitations": {"get", "post"},
        "/api/organizations/{id}/invitations/{invitation_id}": {"delete"},
        "/api/invitations/accept": {"post"},
        "/api/organizations/{id}/activity": {"get"},
        "/api/admin/paas/overview": {"get"},
        "/api/admin/paas/organizations": {"get"},
        "/api/admin/paas/plans": {"get", "post"},
        "/healthz": {"get"},
        "/readyz": {"get"},
        "/metrics": {"get"},
    }
    found = {path: set(operations) for path, operations in document["paths"].items()}
    assert {path: found.get(path, set()) & methods for path, methods in wanted.items()} == wanted


def test_operation_ids_are_unique_and_every_operation_says_what_it_does(document):
    operations = _operations(document)
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    assert [path for _, path, operation in operations if not operation.get("summary")] == []
    assert [path for _, path, operation in operations if not operation.get("tags")] == []


def test_every_operation_documents_its_problems(document):
    for method, path, operation in _operations(document):
        where = f"{method} {path}"
        answers = operation["responses"]
        assert {"422", "500", "503"} <= set(answers), where
        assert all(PROBLEM in a["content"] for status, a in answers.items() if status >= "4"), where
        if path not in OPEN:
            assert operation["security"] == [{"HTTPBearer": []}], where
            assert "401" in answers, where
        if "{" in path:
            assert "404" in answers, where
        if path.startswith("/api/admin/"):
            assert "403" in answers, where


def test_answers_have_the_documented_shape(api, document):
    """Every GET that an owner may ask without knowing an id answers what its schema says."""
    from openapi_schema_validator import OAS31Validator

    ada, admin = api.register("ada@example.com", "Engines"), api.admin()
    ada.post("/api/auth/tokens", {"name": "ci"})
    checked = 0
    for method, path, operation in _operations(document):
        rest = path.replace("/api/organizations/{id}", "", 1)
        if method != "get" or "{" in rest:
            continue
        person = admin if path.startswith("/api/admin/") else ada
        answer = person.get(_filled(path, ada.organization["id"]))
        if answer.status_code != 200:  # a required query parameter
            continue
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(answer.json())
        checked += 1
    assert checked >= 10
