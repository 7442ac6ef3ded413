"""What open pages do by themselves, and what the keyboard and a browser without script can do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from browser_page import Watched
from git_http import GitHttpServer
from playwright.sync_api import expect
from site_under_test import Client, Site, eventually


def test_a_deploy_from_elsewhere_shows_up_on_open_pages(
    grace: Client, repositories: GitHttpServer, open_page: Callable[..., Watched]
) -> None:
    overview, history, listed = open_page(), open_page(), open_page()
    for seen in (overview, history, listed):
        seen.sign_in("grace")
    overview.go("/apps/shop")
    history.go("/apps/shop/deployments")
    for seen in (overview, history, listed):
        expect(seen.page.locator("[data-connection]")).to_have_text("live")
        seen.page.evaluate("window.here = true")
    repositories.commit("shop", {"note.txt": "live"}, message="Seen without a reload")
    version = grace.deployed("shop")["version"]
    for seen in (overview, history):
        expect(seen.page.locator(".app-head")).to_contain_text(f"version {version}")
        expect(seen.page.get_by_role("main")).to_contain_text("Seen without a reload")
    expect(listed.page.get_by_role("row").filter(has_text="shop")).to_contain_text(f"version {version}")
    for seen in (overview, history, listed):
        assert seen.page.evaluate("window.here") is True, "no page was loaded again"
        assert seen.errors == []


def test_lines_come_as_they_are_printed_and_none_is_missed_when_the_server_dies(
    grace: Client, platform: Site, open_page: Callable[..., Watched]
) -> None:
    seen = open_page()
    seen.sign_in("grace")
    page = seen.go("/apps/shop/logs?source=app")
    expect(page.locator("[data-connection]")).to_have_text("live")
    grace.get("shop", "/first-line")
    log = page.locator("[data-log]")
    expect(log).to_contain_text("served /first-line")
    for pid in platform.pids("skypanel.server"):
        os.kill(pid, signal.SIGKILL)
    expect(page.locator("[data-log-note]")).to_contain_text("The connection broke")
    grace.get("shop", "/while-it-was-away")
    expect(page.locator("[data-log-note]")).to_have_text("Reconnected, nothing missed.", timeout=30_000)
    expect(log).to_contain_text("served /while-it-was-away")
    eventually(platform.ready, within=30, what="the server")
    grace.get("shop", "/afterwards")
    expect(log).to_contain_text("served /afterwards")
    texts = log.locator(".text").all_inner_texts()
    for path in ("/first-line", "/while-it-was-away", "/afterwards"):
        assert sum(f"served {path}" in text for text in texts) == 1, "no line twice"


def test_the_log_by_keyboard_and_its_switch(grace: Client, open_page: Callable[..., Watched]) -> None:
    seen = open_page()
    seen.sign_in("grace")
    page = seen.go("/apps/shop/logs")
    expect(page.locator("[data-connection]")).to_have_text("live")
    live = page.get_by_role("button", name="Live")
    page.keyboard.press("f")
    expect(live).to_have_attribute("aria-pressed", "false")
    grace.get("shop", "/paused")
    other = open_page()
    other.sign_in("grace")
    expect(other.go("/apps/shop/logs").locator("[data-log]")).to_contain_text("/paused")
    assert "/paused" not in page.locator("[data-log]").inner_text()
    page.keyboard.press("f")
    expect(page.locator("[data-log]")).to_contain_text("/paused")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**around=*")
    expect(page.locator(".line.marked")).to_have_count(1)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.keyboard.type("boom")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=boom*")
    expect(page.locator("[data-log]")).to_contain_text("ValueError: boom")
    assert seen.errors == []


def test_markup_and_colours_in_a_line(grace: Client, open_page: Callable[..., Watched]) -> None:
    grace.get("shop", "/<img%20src=x%20onerror=alert(1)>")
    seen = open_page()
    seen.sign_in("grace")
    page = seen.go("/apps/shop/logs")
    expect(page.locator(".line .ansi-2").first).to_have_text("INFO")
    assert page.locator("[data-log] img").count() == 0
    assert "\x1b" not in page.locator("[data-log]").inner_text()
    assert seen.errors == []


def test_the_slider_says_what_it_means_and_scales(grace: Client, open_page: Callable[..., Watched]) -> None:
    seen = open_page()
    seen.sign_in("grace")
    page = seen.go("/apps/shop")
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_disabled()
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("output")).to_have_text("4 of 10 replicas · 0.2776 USD per hour · about 202.65 USD per month")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("output")).to_contain_text("2 of 10 replicas")
    apply.click()
    expect(page.get_by_role("status").filter(has_text="Scaling web to 2")).to_be_visible()
    expect(page.locator("#app-serving")).to_contain_text("2 web replicas healthy, 2 wanted", timeout=30_000)
    grace.call("POST", "/paas/apps/shop/scale", {"replicas": 3})
    expect(page.locator("#app-serving")).to_contain_text("3 web replicas healthy, 3 wanted", timeout=30_000)


def test_the_palette_goes_anywhere_by_keyboard(grace: Client, open_page: Callable[..., Watched]) -> None:
    assert grace
    seen = open_page()
    page = seen.sign_in("grace")
    link = page.get_by_role("link", name="Activity")
    link.focus()
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Go to")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(link).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("shop env")
    expect(page.locator("#palette-list [role=option]").first).to_contain_text("environment")
    page.keyboard.press("Enter")
    page.wait_for_url("**/apps/shop/environment")
    menu = page.locator("summary", has_text="More")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Restart")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Restart")).to_be_hidden()
    expect(menu).to_be_focused()
    assert seen.errors == []


def test_everything_that_matters_works_without_a_script(grace: Client, open_page: Callable[..., Watched]) -> None:
    seen = open_page(script=False)
    page = seen.sign_in("grace")
    page.get_by_role("link", name="shop", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("web.1")
    page.get_by_label("web", exact=True).fill("2")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status").first).to_contain_text("Scaling web to 2")
    page.get_by_role("link", name="Environment").click()
    page.get_by_label("Name", exact=True).fill("WITHOUT_SCRIPT")
    page.get_by_label("Value", exact=True).fill("yes")
    page.get_by_label("Deploy now").first.uncheck()
    page.get_by_role("button", name="Set variable").click()
    expect(page.get_by_role("main")).to_contain_text("WITHOUT_SCRIPT")
    page.get_by_role("link", name="Logs", exact=True).click()
    expect(page.locator("[data-log]")).to_contain_text("listening on")
    grace.call("POST", "/paas/apps/shop/scale", {"replicas": 3})
