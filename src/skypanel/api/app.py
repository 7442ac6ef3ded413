"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from skypanel.api.routers import ROUTERS
from skypanel.http import problems
from skypanel.http.context import Services


def create_api(services: Services, *, extra_routers: Sequence[APIRouter] = ()) -> FastAPI:
    app = FastAPI(
        title="SkyPanel",
        version=services.version or "0",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    problems.install(app)
    for router in (*ROUTERS, *extra_routers):
        app.include_router(router)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
