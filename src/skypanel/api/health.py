"""Is it alive, is it ready, what does it count: for operators and their monitoring."""

from __future__ import annotations

from typing import Literal, cast

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from skypanel.db import Database
from skypanel.http.context import ServicesDep
from skypanel.http.metrics import CONTENT_TYPE, ServerMetrics
from skypanel.http.schema import ResponseBody

router = APIRouter(tags=["health"])


class AliveBody(ResponseBody):
    status: Literal["ok"] = "ok"
    version: str


class ReadyBody(ResponseBody):
    status: Literal["ok", "unavailable"]
    checks: dict[str, str] = Field(examples=[{"database": "ok", "worker": "ok", "router": "ok"}])


@router.get("/healthz")
async def get_health(services: ServicesDep) -> AliveBody:
    """The process answers."""
    return AliveBody(version=services.version)


@router.get("/readyz", responses={503: {"model": ReadyBody, "description": "A part is away; `checks` says which"}})
def get_readiness(services: ServicesDep, response: Response) -> ReadyBody:
    """Database, worker and router do their part."""
    checks = {"database": _database(services.database), **services.readiness()}
    ready = all(state == "ok" for state in checks.values())
    if not ready:
        response.status_code = 503
    return ReadyBody(status="ok" if ready else "unavailable", checks=checks)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def get_metrics(request: Request) -> Response:
    """The server's own metrics for Prometheus."""
    metrics = cast(ServerMetrics, request.app.state.metrics)
    return Response(metrics.text(), media_type=CONTENT_TYPE)


def _database(database: Database) -> str:
    try:
        with database.reading() as session:
            session.execute(sa.select(1))
    except SQLAlchemyError:
        return "does not answer"
    return "ok"
