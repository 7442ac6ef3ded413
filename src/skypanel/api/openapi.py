"""The OpenAPI document: FastAPI's, with our problems in the place of its own validation errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from skypanel.http.problems import Problem, documented

DESCRIPTION = """Everything the dashboard and the CLI do, for programs.

Sign in with `POST /api/auth/login` or make an API token, and send it as `Authorization: Bearer …`. A member of several
organizations names the one to act in with `X-Organization-Id` (id or slug). Errors are problem details (RFC 9457) with
a stable `code`. Lists take `limit` and `cursor` and answer `{"items": […], "next_cursor": …}`. Times are RFC 3339 in
UTC; money is a decimal string. A signed-in POST may carry an `Idempotency-Key`: sent again within 24 hours, it gets
the first answer and does nothing."""

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request with the same key gets the first one's answer for 24 hours",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def install(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # as FastAPI's own documentation has it


def build(app: FastAPI) -> dict[str, Any]:
    content = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    components = content.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for path, operations in content["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return content


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    if not path.startswith("/api/"):
        return
    answers = operation["responses"]
    # 400 for every one: an address with a NUL character is refused before it is looked at.
    for status in (400, 413, 422, 500, 503) if "requestBody" in operation else (400, 422, 500, 503):
        known = answers.get(str(status), {})
        if "application/problem+json" not in known.get("content", {}):
            answers[str(status)] = documented(status)
    if operation.get("security"):
        answers.setdefault("401", documented(401))
        if method == "post":
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
