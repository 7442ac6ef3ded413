"""The route of an app put into force: computed by `routing`, handed to the router."""

from __future__ import annotations

from collections.abc import Sequence

from skypanel.apps.models import App
from skypanel.deployments.platform import Platform
from skypanel.drivers.router.port import Backend, Route
from skypanel.routing.plan import AppFacts, wanted_route


def route_of(platform: Platform, app: App, backends: Sequence[Backend]) -> Route:
    return wanted_route(
        AppFacts(
            id=app.id,
            slug=app.slug,
            hosts=(platform.app_host(app.slug),),
            status=app.status,
            wanted=app.wanted,
            backends=tuple(backends),
        )
    )


def put_route(platform: Platform, app: App, backends: Sequence[Backend]) -> Route:
    route = route_of(platform, app, backends)
    platform.router.put(route)
    return route
