"""The pages of money in a real browser, with hours that have been charged: no engine is needed to look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from browser_page import VARIANTS, Watched, judge, require_reach
from money_world import hours_pass, leaves_at, running, serves_from, set_balance
from playwright.sync_api import Browser, expect
from served_pages import chromium, served, world

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.volumes import add_volumes

__all__ = ["chromium", "world"]


@pytest.fixture
def shop(world: Any) -> str:
    """With hours of two plans, storage and logs, a replica that left in the middle of one; beside it another one."""
    world.release(shop := world.app(plan="pro"))
    with world.database.transaction() as session:
        session.execute(sa.update(PlanPeriod).values(storage_price_micro=100_000, log_price_micro=500_000))
        session.get_one(App, shop).storage_price_micro = 100_000
        add_volumes(session, {(shop, world.now): 3_456_789})
    serves_from(world, shop)
    running(world, "A blog with a name that is rather long for a table")
    running(world, "Theirs", organization="rival")
    leaves_at(world, shop, world.now + timedelta(minutes=45))
    world.release(shop, version=2)
    serves_from(world, shop, world.now + timedelta(minutes=44))
    hours_pass(world, 3)
    return shop


@pytest.fixture
def open_page(world: Any, chromium: Browser) -> Iterator[Callable[..., Watched]]:
    """Pages of a platform admin who has signed in, a member of acme."""
    with served(world, chromium) as opened:
        yield opened


@pytest.mark.parametrize(("width", "dark"), VARIANTS)
def test_every_page_is_accessible_quiet_and_within_its_width(
    open_page: Callable[..., Watched], request: pytest.FixtureRequest, world: Any, shop: str, width: int, dark: bool
) -> None:
    variant = request.node.callspec.id
    seen = open_page(width=width, height=844 if width < 500 else 900, dark=dark)
    home = f"/admin/organizations/{world.viewer().organization_id}"
    pages = (
        "/usage", "/usage?range=last-month", "/usage?range=custom&from=2026-05-02&to=2026-05-01", f"/usage/{shop}",
        f"/usage/{shop}/2026-05-01T12", "/wallet", "/wallet/statements/2026-05", "/apps/shop", "/apps/new",
        "/apps/shop/settings", "/admin/organizations", home, "/admin/usage", "/_components",
    )  # fmt: skip
    found = [problem for path in pages for problem in judge(seen, path, variant)]
    set_balance(world, "1.2")
    found += judge(seen, "/apps", f"low-{variant}")
    set_balance(world, "0.1")
    found += judge(seen, "/apps/shop", f"low-{variant}")
    set_balance(world, "0.0001")
    hours_pass(world, 1)
    for path in ("/apps", "/apps/shop", "/wallet", home):
        found += judge(seen, path, f"suspended-{variant}")
    assert found == []
    assert seen.hosts == {urlsplit(seen.url).netloc}, "no request to another host"


def test_the_keyboard_reaches_everything(open_page: Callable[..., Watched], world: Any, shop: str) -> None:
    seen = open_page()
    for path in (
        "/usage", f"/usage/{shop}", "/wallet", f"/admin/organizations/{world.viewer().organization_id}",
    ):  # fmt: skip
        require_reach(seen.go(path), path)


def test_figures_move_on_open_pages_as_hours_are_charged(
    open_page: Callable[..., Watched], world: Any, shop: str
) -> None:
    wallet, elsewhere, usage = open_page(), open_page(), open_page()
    wallet.go("/wallet")
    elsewhere.go("/apps/shop/environment")
    usage.go("/usage")
    for seen in (wallet, elsewhere, usage):
        expect(seen.page.locator("[data-connection]")).to_have_text("live")
        seen.page.evaluate("window.here = true")
    before = usage.page.locator("tfoot strong").inner_text()
    set_balance(world, "1")
    expect(wallet.page.locator("#wallet-figures")).to_contain_text("1.00 USD")
    expect(elsewhere.page.locator("#wallet-banner")).to_contain_text("hours of funds left")
    hours_pass(world, 1)
    expect(elsewhere.page.locator("#rail-wallet")).to_contain_text("0.92 USD")
    expect(usage.page.locator("tfoot strong")).not_to_have_text(before)
    set_balance(world, "0.0001")
    hours_pass(world, 1)
    expect(elsewhere.page.locator("#wallet-banner")).to_contain_text("Acme is suspended")
    expect(wallet.page.locator("#wallet-figures")).to_contain_text("an hour of what was running costs")
    set_balance(world, "50")
    expect(elsewhere.page.locator("#wallet-banner")).to_be_empty()
    for seen in (wallet, elsewhere, usage):
        assert seen.page.evaluate("window.here") is True, "no page was loaded again"
        assert seen.errors == []


def test_the_slider_says_what_the_wallet_carries(open_page: Callable[..., Watched], world: Any, shop: str) -> None:
    seen = open_page()
    page = seen.go("/apps/shop")
    requests: list[str] = []
    expect(page.locator("[data-connection]")).to_have_text("live")
    set_balance(world, "0.25")
    apply, funds = page.get_by_role("button", name="Apply"), page.locator(".scale [data-funds]")
    expect(funds).to_contain_text("The wallet has 0.25 USD")
    page.on("request", lambda request: requests.append(request.url))
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".scale output")).to_contain_text("2 of 10 replicas")
    expect(funds).to_contain_text("after an hour of all; lasts")
    expect(apply).to_be_enabled()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(funds).to_contain_text("USD are missing")
    expect(apply).to_be_disabled()
    assert requests == [], "nothing is asked while it is dragged"
    set_balance(world, "100")
    expect(apply).to_be_enabled()
    expect(page.locator(".scale output")).to_contain_text("5 of 10 replicas")
    assert seen.errors == []


def test_money_is_given_by_hand(open_page: Callable[..., Watched], world: Any, shop: str) -> None:
    set_balance(world, "0.0001")
    hours_pass(world, 1)
    seen = open_page()
    page = seen.go("/admin/organizations")
    page.get_by_role("link", name="Acme").click()
    page.get_by_label("Amount").fill("25")
    page.get_by_label("Reason").fill("paid by invoice 17")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("status").filter(has_text="Credit of 25.00 USD for Acme entered")).to_be_visible()
    expect(page.locator("#organization-wallet")).to_contain_text("ok")
    seen.go("/wallet")
    expect(page.locator("#wallet-transactions")).to_contain_text("paid by invoice 17")
    page.get_by_label("Most to spend in a month").fill("40")
    page.get_by_role("button", name="Save cap").click()
    expect(page.get_by_role("status").filter(has_text="The cap holds")).to_be_visible()
    assert seen.errors == []
