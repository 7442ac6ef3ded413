"""The route of an app put into force: computed by `routing`, handed to the router."""

from __future__ import annotations

from collections.abc import Sequence

from skypanel.apps.models import App, AppStatus
from skypanel.deployments.platform import Platform
from skypanel.drivers.router.port import Backend, Route
from skypanel.routing.plan import AppFacts, wanted_route

CONFIRM_S = 10.0


def route_of(
    platform: Platform, app: App, backends: Sequence[Backend], *, web: int | None, wanted: str | None = None
) -> Route | None:
    """`web`: replicas the release shall have; with 0 the app is stopped for its visitors, with None (no such process
    type) there is no route, nor before its first deployment. `wanted`: instead of what the app's row says."""
    if web is None:
        return None
    return wanted_route(
        AppFacts(
            id=app.id,
            slug=app.slug,
            hosts=(platform.app_host(app.slug),),
            status=app.status if web or backends else AppStatus.STOPPED,
            wanted=wanted or app.wanted,
            backends=tuple(backends),
            network=platform.network_of(app.organization_id),
        )
    )


def put_route(platform: Platform, app: App, backends: Sequence[Backend], *, web: int | None) -> Route | None:
    return apply_route(platform, app.id, route_of(platform, app, backends, web=web))


def apply_route(platform: Platform, app_id: str, route: Route | None) -> Route | None:
    if route is None:
        platform.router.remove(app_id)
    else:
        platform.router.put(route)
    return route


def move_route(platform: Platform, app: App, backends: Sequence[Backend], *, web: int | None) -> None:
    """Puts it and waits until requests follow it, so that what is not in it may end. A router that is away serves
    nobody; then there is nothing to wait for."""
    route = put_route(platform, app, backends, web=web)
    if route is not None:
        platform.router.confirm(route, timeout_s=CONFIRM_S)
