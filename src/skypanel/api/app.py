"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from skypanel.api import openapi
from skypanel.api.routers import ROUTERS
from skypanel.http import problems
from skypanel.http.context import Services
from skypanel.http.guard import Guard
from skypanel.http.metrics import CountsRequests, ServerMetrics
from skypanel.http.pages import pages_app


def create_api(services: Services, *, extra_routers: Sequence[APIRouter] = ()) -> FastAPI:
    """All routes of the API, and those of other faces (`extra_routers`) in the same application."""
    app = FastAPI(
        title="SkyPanel",
        version=services.version or "0",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.state.metrics = ServerMetrics()
    app.add_middleware(CountsRequests, metrics=app.state.metrics)
    app.add_middleware(Guard)
    problems.install(app)
    openapi.install(app)
    for router in (*ROUTERS, *extra_routers):
        app.include_router(router)
    app.mount("/_pages", pages_app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
