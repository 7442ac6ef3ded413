"""The user guide's tutorials, word for word."""

from __future__ import annotations

import re
from collections.abc import Callable

from browser_page import Watched
from git_http import GitHttpServer
from playwright.sync_api import expect
from sample_apps import plain_server
from site_under_test import Site

WAIT_MS = 60_000


def test_first_deployment(
    platform: Site, repositories: GitHttpServer, open_page: Callable[..., Watched], unique: Callable[[str], str]
) -> None:
    """1. Create app → Git URL → `main` branch. 2. Watch the Deployment Progress panel; confirm that the status goes
    building → deploying → running. 3. Test the default domain."""
    name = unique("tutorial")
    platform.register(name)
    repositories.make(name, plain_server(body="my first application"))
    seen = open_page()
    page = seen.sign_in(name)
    expect(page.get_by_role("heading", name="No application yet")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="New application").first.click()
    page.get_by_label("Name").fill(name)
    expect(page.locator("#name-hint")).to_contain_text(f"http://{name}.apps.localhost:{platform.port}")
    page.get_by_label("Git URL").fill(repositories.url(name))
    page.get_by_label("Branch").fill("main")
    page.get_by_role("radio", name=re.compile("Standard")).check()
    page.get_by_role("spinbutton", name="Replicas").fill("2")
    expect(page.locator("output")).to_have_text("2 replicas · 0.0694 USD per hour · about 50.66 USD per month")

    # Every state that the panel shows from here on, in order.
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          const states = window.states = [];
          const note = () => {
            const pill = document.querySelector("#progress .pill");
            if (pill && states.at(-1) !== pill.textContent) states.push(pill.textContent);
          };
          note();
          new MutationObserver(note).observe(document.body, { subtree: true, childList: true });
        })"""
    )
    page.get_by_role("button", name="Create and deploy").click()
    page.wait_for_url("**/deployments/1")
    expect(page.locator("#progress .pill")).to_have_text("running", timeout=WAIT_MS)
    states = page.evaluate("window.states")
    assert [state for state in states if state != "queued"] == ["building", "deploying", "running"], states
    expect(page.locator("[data-log]")).to_contain_text("Version 1 is live.")
    expect(page.locator(".app-head .pill")).to_have_text("running")

    page.goto(f"http://{name}.apps.localhost:{platform.port}/")
    expect(page.locator("body")).to_have_text("my first application")
    assert seen.errors == []


def test_recover_from_a_failed_build(
    platform: Site, repositories: GitHttpServer, open_page: Callable[..., Watched], unique: Callable[[str], str]
) -> None:
    """1. Open the Deployments tab → failed build row → expand logs. 2. Fix the repository, push, then click Redeploy.
    3. Optional: clear the build cache via App Settings before retrying."""
    name = unique("recover")
    owner = platform.register(name)
    repositories.make(name, {**plain_server(body="mended"), "requirements.txt": "flask===\n"})
    owner.create(name, repositories.url(name))
    assert owner.settled(name, owner.deploy(name))["status"] == "failed"
    seen = open_page()
    seen.sign_in(name)
    page = seen.go(f"/apps/{name}")
    page.get_by_role("link", name="Deployments", exact=True).click()
    row = page.get_by_role("row").filter(has_text="failed")
    row.get_by_text("Show the log").click()
    expect(row.locator(".log")).to_contain_text("requirements.txt")
    expect(row.get_by_role("button", name="Redeploy")).to_be_visible()

    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Clear build cache").click()
    expect(page.get_by_role("status").filter(has_text="being cleared")).to_be_visible()

    repositories.commit(name, {"requirements.txt": ""}, message="Mend the requirements")
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.get_by_role("row").filter(has_text="failed").get_by_text("Show the log").click()
    page.get_by_role("button", name="Redeploy").click()
    page.wait_for_url("**/deployments/2")
    expect(page.locator("#progress .pill")).to_have_text("running", timeout=WAIT_MS)
    expect(page.locator("#progress")).to_contain_text("Mend the requirements")
    assert owner.get(name).text == "mended"
    assert seen.errors == []
