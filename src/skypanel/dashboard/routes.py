"""Every page of the dashboard."""

from __future__ import annotations

from fastapi import APIRouter

from skypanel.dashboard import (
    activity,
    admin_organizations,
    app_verbs,
    apps,
    components,
    deployments,
    environment,
    logs,
    machines,
    members,
    new_app,
    new_machine,
    organizations,
    palette,
    settings_page,
    sign_in,
    tokens,
    usage,
    wallet,
)
from skypanel.dashboard.assets import add_assets
from skypanel.dashboard.page_route import page_router

# In the order in which addresses are matched: `/apps/new` before `/apps/{id}`.
PAGES = (
    sign_in, organizations, members, tokens, activity, palette, components,
    new_app, apps, deployments, logs, environment, settings_page, app_verbs, new_machine, machines,
    usage, wallet, admin_organizations,
)  # fmt: skip


def dashboard_router() -> APIRouter:
    """For `create_api(services, extra_routers=[dashboard_router()])`: it takes the services from the application."""
    router = page_router()
    add_assets(router)
    for pages in PAGES:
        router.include_router(pages.router)
    return router
