"""Debian's Chromium, driven by Playwright: its pages, a record of everything on them that must not happen, and what
every page has to keep to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
VARIANTS = [
    pytest.param(1280, False, id="desk-light"),
    pytest.param(1280, True, id="desk-dark"),
    pytest.param(390, False, id="phone-light"),
    pytest.param(390, True, id="phone-dark"),
]


@dataclass
class Watched:
    """A page of which everything is noted that must not happen."""

    page: Page
    url: str  # the dashboard's
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self) -> None:
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(text)

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, name: str) -> Page:
        self.go("/login")
        self.page.get_by_label("E-mail address").fill(f"{name}@example.org")
        self.page.get_by_label("Password").fill(f"a long password of {name}")
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/apps")
        return self.page


@contextmanager
def launched() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("Chromium is missing: scripts/packages test installs it", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def pages_of(chromium: Browser, url: str) -> Iterator[Callable[..., Watched]]:
    """`opened(width=…, dark=…, script=…)`: a page of a browser profile of its own."""
    contexts: list[BrowserContext] = []

    def opened(*, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True) -> Watched:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        watched = Watched(context.new_page(), url)
        watched.watch()
        return watched

    yield opened
    for context in contexts:
        context.close()


def judge(seen: Watched, path: str, variant: str) -> list[str]:
    """What is wrong with a page. PICTURES=directory keeps a picture of it, for whoever wants to look."""
    seen.errors.clear()
    page = seen.go(path)
    page.wait_for_load_state("load")
    found = [f"{path}: {error}" for error in seen.errors if "404" not in error or path != "/apps/none"]
    for violation in Axe().run(page).response["violations"]:
        where = [node["html"][:100] for node in violation["nodes"][:3]]
        found.append(f"{path}: {violation['id']}: {violation['help']}: {where}")
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append(f"{path}: wider than the window")
    if wanted := os.environ.get("PICTURES"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        name = path.strip("/").replace("/", "_").replace("?", "_") or "root"
        page.screenshot(path=Path(wanted) / f"{name}-{variant}.png", full_page=True)
    return found


def require_reach(page: Page, path: str) -> None:
    """By the keyboard, of everything on the page that can be used."""
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
             .filter((e) => e.checkVisibility() && !e.disabled && e.type !== "hidden" && e.tabIndex >= 0
                            && !(e.type === "radio" && !e.checked) && !e.closest("[data-log]")).length"""
    )
    reached = _tab_through(page)
    assert reached >= wanted, f"{path}: {reached} of {wanted}"


def _tab_through(page: Page) -> int:
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
