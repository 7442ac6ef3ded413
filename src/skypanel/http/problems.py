"""Errors as RFC 9457 problem details, whatever raised them."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from skypanel.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    SkyPanelError,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from skypanel.http import pages

MEDIA_TYPE = "application/problem+json"
_KINDS: tuple[type[SkyPanelError], ...] = (
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    TooMany,
    Unavailable,
)
DISK_FULL_STATE = "53100"  # PostgreSQL, appendix A: SQLSTATE disk_full
TITLES = {kind.status: kind.title for kind in _KINDS}
log = structlog.get_logger("skypanel.http")


class ProblemField(BaseModel):
    field: str = Field(examples=["email"])
    message: str = Field(examples=["is no e-mail address"])


class Problem(BaseModel):
    """RFC 9457. `code` is stable and names the problem for programs; `detail` says what to do."""

    type: str = Field(examples=["urn:skypanel:problem:not_found"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not_found"])
    errors: list[ProblemField] | None = None


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    title: str | None = None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    content: dict[str, Any] = {
        "type": f"urn:skypanel:problem:{code}",
        "title": title or TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        content["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return Response(orjson.dumps(content), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def from_error(error: SkyPanelError) -> Response:
    headers = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = "5"
    return problem(
        error.status, code=error.code, detail=error.detail, title=error.title, errors=error.errors, headers=headers
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may answer with these problems."""
    return {status: documented(status) for status in statuses}


def documented(status: int) -> dict[str, Any]:
    title = TITLES.get(status) or HTTPStatus(status).phrase
    code = next((kind.code for kind in _KINDS if kind.status == status), "internal")
    example = {
        "type": f"urn:skypanel:problem:{code}",
        "title": title,
        "status": status,
        "detail": f"{title}.",
        "code": code,
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": title, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


def install(app: FastAPI) -> None:
    """Every error of the application becomes a problem; what nobody foresaw says nothing of its cause."""
    app.add_exception_handler(SkyPanelError, _expected)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _of_the_framework)
    for database_away in (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError):
        app.add_exception_handler(database_away, _database_away)
    app.add_exception_handler(sqlalchemy.exc.DataError, _not_storable)
    app.add_exception_handler(Exception, _unforeseen)


async def _expected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SkyPanelError)
    return from_error(error)


async def _not_valid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The values themselves are left out: they may be passwords.
    errors = [FieldError(_field(item["loc"]), str(item["msg"])) for item in error.errors()]
    first = f"{errors[0].field}: {errors[0].message}" if errors else "the request could not be read"
    return from_error(Invalid(f"The request is not valid: {first}.", errors=errors))


def _field(location: Sequence[int | str]) -> str:
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] in ("body", "query", "path", "header", "cookie"):
        parts = parts[1:]
    return ".".join(parts)


async def _of_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and _is_a_person(request):
        return pages.answer(pages.NO_PAGE, host=request.headers.get("host", "this address"))
    codes = {404: "route_not_found", 405: "method_not_allowed", 413: "body_too_large"}
    details = {
        404: f"There is no route {request.url.path}.",
        405: f"{request.url.path} does not answer {request.method}.",
        413: "The request's body is larger than 1 MB.",
    }
    status = error.status_code
    detail = details.get(status, str(error.detail))
    return problem(status, code=codes.get(status, "bad_request"), detail=detail, headers=error.headers)


def _is_a_person(request: Request) -> bool:
    """A browser that was given a wrong address; programs ask for JSON, or for anything, or below /api."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api")


async def _database_away(request: Request, error: Exception) -> Response:
    log.error("the database does not answer", method=request.method, path=request.url.path, error=str(error))
    if _disk_is_full(getattr(error, "orig", None)):
        return from_error(Unavailable("The platform's disk is full; its operator has to free room.", code="disk_full"))
    return from_error(Unavailable("The database does not answer; try again in a moment.", code="database_unavailable"))


def _disk_is_full(cause: object) -> bool:
    """By the databases' codes, not their words: a statement's text holds what a tenant wrote."""
    sqlite_code = getattr(cause, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return bool(sqlite_code & 0xFF == sqlite3.SQLITE_FULL)  # without the extension bits: sqlite.org/rescode.html
    return getattr(cause, "sqlstate", None) == DISK_FULL_STATE


async def _not_storable(_request: Request, _error: Exception) -> Response:
    return from_error(Invalid("The request holds a value that cannot be stored."))


async def _unforeseen(request: Request, error: Exception) -> Response:
    # Formatted here and not by the log, whose renderers may show local variables: passwords, tokens.
    trace = "".join(traceback.format_exception(error))
    log.error("request failed", method=request.method, path=request.url.path, exception=trace)
    return from_error(
        SkyPanelError("Something went wrong on our side. The platform's log has the cause; trying again may help.")
    )
