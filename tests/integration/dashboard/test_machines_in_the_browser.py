"""The pages of machines in a real browser, with a cluster's machines in every state: no engine is needed to look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser_page import VARIANTS, Watched, judge, require_reach
from machines_world import M1, M2, M3, W1, W2, every_state, look, lost
from playwright.sync_api import Browser, expect
from served_pages import chromium, served, world

from skypanel.nodes import move

__all__ = ["chromium", "world"]

LIST, NEW = "/admin/machines", "/admin/new-machine"
PAGES = (
    LIST, f"{LIST}/w1", f"{LIST}/w2", f"{LIST}/m3", f"{LIST}/m2", f"{LIST}/192.0.2.99", f"{LIST}/w1/drain",
    f"{LIST}/m2/drain", f"{LIST}/192.0.2.99/remove", NEW, "/_components",
)  # fmt: skip


@pytest.fixture
def open_page(world: Any, chromium: Browser) -> Iterator[Callable[..., Watched]]:
    every_state(world)
    with served(world, chromium) as opened:
        yield opened


@pytest.mark.parametrize(("width", "dark"), VARIANTS)
def test_every_page_is_accessible_quiet_and_within_its_width(
    open_page: Callable[..., Watched], request: pytest.FixtureRequest, world: Any, width: int, dark: bool
) -> None:
    variant = request.node.callspec.id
    seen = open_page(width=width, height=844 if width < 500 else 900, dark=dark)
    found = [problem for path in PAGES for problem in judge(seen, path, variant)]
    look(world, M1, M2, M3, W1, W2)  # all there: now m2 may be removed
    found += judge(seen, f"{LIST}/m2/remove", variant)
    assert found == []
    assert seen.hosts == {urlsplit(seen.url).netloc}, "no request to another host"


def test_one_machine_alone_is_no_different(world: Any, chromium: Browser) -> None:
    look(world, M1)
    with served(world, chromium) as opened:
        seen = opened(width=390, height=844)
        assert [problem for path in (LIST, f"{LIST}/m1") for problem in judge(seen, path, "alone")] == []


def test_the_keyboard_reaches_everything(open_page: Callable[..., Watched]) -> None:
    seen = open_page()
    for path in (LIST, f"{LIST}/w2", f"{LIST}/w1/drain", NEW):
        require_reach(seen.go(path), path)


def test_what_happens_to_machines_shows_up_on_open_pages(open_page: Callable[..., Watched], world: Any) -> None:
    look(world, M1, M2, M3, W1, W2)
    listed, one, elsewhere = open_page(), open_page(), open_page()
    listed.go(LIST)
    one.go(f"{LIST}/w1")
    for seen in (listed, one, elsewhere):
        expect(seen.page.locator("[data-connection]")).to_have_text("live")
        expect(seen.page.locator("#rail-machines .mark")).to_have_count(0)
        seen.page.evaluate("window.here = true")
    look(world, M1, M2, M3, lost(W1), W2)
    expect(listed.page.get_by_role("status").filter(has_text="w1 is lost since")).to_be_visible()
    expect(listed.page.get_by_role("row").filter(has_text="w1").locator(".pill")).to_have_text("lost")
    expect(one.page.get_by_role("heading", name="w1")).to_contain_text("lost")
    for seen in (listed, one, elsewhere):
        expect(seen.page.locator("#rail-machines")).to_contain_text("1 lost")
        assert seen.page.evaluate("window.here") is True, "no page was loaded again"
    move.remove(SimpleNamespace(database=world.database), SimpleNamespace(forget=lambda _: None), name="w1")
    expect(listed.page.get_by_role("link", name="w1")).to_have_count(0)
    one.page.wait_for_url(f"**{LIST}")
    for seen in (listed, one, elsewhere):
        assert [error for error in seen.errors if "404" not in error] == []


def test_a_heartbeat_alone_sends_nothing_to_open_pages(open_page: Callable[..., Watched], world: Any) -> None:
    seen = open_page()
    page = seen.go(LIST)
    expect(page.locator("[data-connection]")).to_have_text("live")
    page.evaluate("document.getElementById('machines').firstElementChild.dataset.same = 'yes'")
    world.clock.advance(timedelta(seconds=6))
    look(world, M1, M2, lost(M3), W1, W2)
    page.wait_for_timeout(700)
    assert page.locator("#machines > [data-same=yes]").count() == 1
    look(world, M1, lost(M2), lost(M3), W1, W2)
    expect(page.locator("#machines > [data-same=yes]")).to_have_count(0)


def test_a_machine_is_drained_and_removed_by_hand(open_page: Callable[..., Watched], world: Any) -> None:
    seen = open_page()
    page = seen.go(LIST)
    page.get_by_role("link", name="w1").click()
    page.get_by_role("link", name="Drain…").click()
    page.get_by_role("button", name="Drain w1").click()
    expect(page.get_by_role("heading", name="w1")).to_contain_text("draining")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="w1")).to_contain_text("ready")
    look(world, M1, M2, M3, W1, W2)
    seen.go(f"{LIST}/m2")
    page.get_by_role("link", name="Remove…").click()
    remove = page.get_by_role("button", name="Remove m2")
    expect(remove).to_be_disabled()
    page.get_by_label("Type m2 to remove it").fill("m2")
    remove.click()
    expect(page.get_by_role("status").filter(has_text="m2 is taken out")).to_be_visible()
    assert seen.errors == []
