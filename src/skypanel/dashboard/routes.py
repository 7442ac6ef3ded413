"""Every page of the dashboard."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from skypanel.dashboard import apps, sign_in
from skypanel.dashboard.page_route import page_router
from skypanel.dashboard.pages import STYLES, STYLES_PATH

A_YEAR = "public, max-age=31536000, immutable"


def dashboard_router() -> APIRouter:
    """For `create_api(services, extra_routers=[dashboard_router()])`: it takes the services from the application."""
    router = page_router()

    @router.get(STYLES_PATH)
    def show_styles() -> Response:
        return Response(STYLES, media_type="text/css", headers={"Cache-Control": A_YEAR})

    router.include_router(sign_in.router)
    router.include_router(apps.router)
    return router
