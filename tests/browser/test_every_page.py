"""Every page in light and dark, on a desk and in a hand: accessible, quiet, within its width, from no other host."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from browser_page import VARIANTS, Watched, judge, require_reach
from fastapi.routing import APIRoute
from site_under_test import Client

from skypanel.dashboard.routes import PAGES as PAGES_OF_ROOMS

PAGES = {
    "/login": "/login",
    "/register": "/register",
    "/organizations": "/organizations",
    "/organizations/new": "/organizations/new",
    "/invitations/{token}": "/invitations/ski_example",
    "/members": "/members",
    "/tokens": "/tokens",
    "/activity": "/activity",
    "/usage": "/usage",
    "/wallet": "/wallet",
    "/apps": "/apps",
    "/apps/new": "/apps/new",
    "/apps/{id}": "/apps/shop",
    "/apps/{id}/deployments": "/apps/shop/deployments",
    "/apps/{id}/deployments/{version}": "/apps/shop/deployments/2",
    "/apps/{id}/deployments/{version}/rollback": "/apps/shop/deployments/1/rollback",
    "/apps/{id}/logs": "/apps/shop/logs",
    "/apps/{id}/environment": "/apps/shop/environment",
    "/apps/{id}/settings": "/apps/shop/settings",
}
MORE = [
    "/apps/broken",
    "/apps/broken/deployments",
    "/apps/broken/deployments/1",
    "/apps/none",
    "/apps/shop/logs?level=error",
]
NO_PAGES = {
    "/",
    "/palette",
    "/_components",
    "/usage.csv",
    "/admin/usage.csv",
    "/apps/{id}/environment/export",
    "/apps/{id}/deployments/{version}/log.txt",
}
# tests/integration/dashboard/test_machines_in_the_browser.py looks at those of machines, with a whole cluster, and
# test_money_in_the_browser.py there at those of money, with hours that have been charged.
ELSEWHERE = {
    "/usage/{app_id}",
    "/usage/{app_id}/{hour}",
    "/wallet/statements/{month}",
    "/admin/organizations",
    "/admin/organizations/{id}",
    "/admin/usage",
    "/admin/machines",
    "/admin/machines/{name}",
    "/admin/machines/{name}/{verb}",
    "/admin/new-machine",
}


def test_the_list_of_pages_is_whole() -> None:
    routes = {
        route.path
        for pages in PAGES_OF_ROOMS
        for route in pages.router.routes
        if isinstance(route, APIRoute) and "GET" in route.methods and "/assets/" not in route.path
    }
    assert routes - NO_PAGES - ELSEWHERE == PAGES.keys()


@pytest.mark.parametrize(("width", "dark"), VARIANTS)
def test_every_page_is_accessible_quiet_and_within_its_width(
    grace: Client,
    open_page: Callable[..., Watched],
    request: pytest.FixtureRequest,
    width: int,
    dark: bool,
) -> None:
    assert grace
    variant = request.node.callspec.id
    seen = open_page(width=width, height=844 if width < 500 else 900, dark=dark)
    found = [*judge(seen, "/login", variant), *judge(seen, "/register", variant)]
    seen.sign_in("grace")
    for path in [*PAGES.values(), *MORE]:
        found += judge(seen, path, variant)
    assert found == []
    assert seen.hosts == {urlsplit(seen.url).netloc}, "no request to another host"


def test_the_keyboard_reaches_everything(grace: Client, open_page: Callable[..., Watched]) -> None:
    assert grace
    seen = open_page()
    seen.sign_in("grace")
    for path in ("/apps/shop", "/apps/shop/logs", "/apps/new", "/members"):
        require_reach(seen.go(path), path)
