"""The server process: `uvicorn --factory skypanel.server:create_app`."""

from __future__ import annotations

from fastapi import FastAPI

from skypanel.api.app import create_api
from skypanel.dashboard.routes import dashboard_router
from skypanel.gitserver.routes import router as git
from skypanel.wiring.serve import server_services


def create_app() -> FastAPI:
    """Every face in one ASGI application, with the services that the settings ask for."""
    return create_api(server_services(), extra_routers=[git, dashboard_router()])
