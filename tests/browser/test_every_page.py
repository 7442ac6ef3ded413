"""Every page in light and dark, on a desk and in a hand: accessible, quiet, within its width, from no other host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_page import Watched
from fastapi.routing import APIRoute
from playwright.sync_api import Page
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
    "/apps/{id}/environment/export",
    "/apps/{id}/deployments/{version}/log.txt",
}
VARIANTS = [
    pytest.param(1280, False, id="desk-light"),
    pytest.param(1280, True, id="desk-dark"),
    pytest.param(390, False, id="phone-light"),
    pytest.param(390, True, id="phone-dark"),
]


def test_the_list_of_pages_is_whole() -> None:
    routes = {
        route.path
        for pages in PAGES_OF_ROOMS
        for route in pages.router.routes
        if isinstance(route, APIRoute) and "GET" in route.methods and "/assets/" not in route.path
    }
    assert routes - NO_PAGES == PAGES.keys()


@pytest.mark.parametrize(("width", "dark"), VARIANTS)
def test_every_page_is_accessible_quiet_and_within_its_width(
    grace: Client,
    open_page: Callable[..., Watched],
    pictures: Path | None,
    request: pytest.FixtureRequest,
    width: int,
    dark: bool,
) -> None:
    assert grace
    variant = request.node.callspec.id
    seen = open_page(width=width, height=844 if width < 500 else 900, dark=dark)
    found = [*judge(seen, "/login", pictures, variant), *judge(seen, "/register", pictures, variant)]
    seen.sign_in("grace")
    for path in [*PAGES.values(), *MORE]:
        found += judge(seen, path, pictures, variant)
    assert found == []
    assert seen.hosts == {urlsplit(seen.url).netloc}, "no request to another host"


def judge(seen: Watched, path: str, pictures: Path | None, variant: str) -> list[str]:
    seen.errors.clear()
    page = seen.go(path)
    page.wait_for_load_state("load")
    found = [f"{path}: {error}" for error in seen.errors if "404" not in error or path != "/apps/none"]
    for violation in Axe().run(page).response["violations"]:
        where = [node["html"][:100] for node in violation["nodes"][:3]]
        found.append(f"{path}: {violation['id']}: {violation['help']}: {where}")
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append(f"{path}: wider than the window")
    if pictures is not None:
        name = path.strip("/").replace("/", "_").replace("?", "_") or "root"
        page.screenshot(path=pictures / f"{name}-{variant}.png", full_page=True)
    return found


def test_the_keyboard_reaches_everything(grace: Client, open_page: Callable[..., Watched]) -> None:
    assert grace
    seen = open_page()
    page = seen.sign_in("grace")
    for path in ("/apps/shop", "/apps/shop/logs", "/apps/new", "/members"):
        seen.go(path)
        wanted = page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
                 .filter((e) => e.checkVisibility() && !e.disabled && e.type !== "hidden" && e.tabIndex >= 0
                                && !(e.type === "radio" && !e.checked) && !e.closest("[data-log]")).length"""
        )
        reached = tab_through(page)
        assert reached >= wanted, f"{path}: {reached} of {wanted}"


def tab_through(page: Page) -> int:
    """How many elements Tab visits before it comes round again; each has an outline while it has the focus."""
    page.evaluate("const skip = document.querySelector('.skip'); skip.focus(); skip.dataset.visited = 'yes'")
    count = 1
    for _ in range(800):
        page.keyboard.press("Tab")
        state = page.evaluate(
            """() => {
              const here = document.activeElement;
              if (here === document.body || here.dataset.visited) return "round";
              here.dataset.visited = "yes";
              if (here.closest("[data-log]")) return "line";
              return getComputedStyle(here).outlineStyle === "none" ? `no outline: ${here.outerHTML.slice(0, 90)}` : "";
            }"""
        )
        if state == "round":
            break
        assert state in ("", "line"), state
        count += state == ""
    return count
