"""A real browser (Debian's Chromium, driven by Playwright) before one real platform for the whole folder.

Do: click, type, press keys, look. Don't: call the platform's rooms; the API only to set a stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from browser_page import Watched, launched, pages_of
from git_http import GitHttpServer
from one_platform import platform, repositories, unique
from playwright.sync_api import Browser
from sample_apps import plain_server
from site_under_test import Client, Site

__all__ = ["platform", "repositories", "unique"]

NOISY = """
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from " + os.environ["DYNO"].encode())

    def log_message(self, *_):
        print("\\x1b[32mINFO\\x1b[0m served " + self.path, flush=True)
        if self.path.startswith("/boom"):
            print("Traceback (most recent call last):\\n  File \\"server.py\\", line 9\\nValueError: boom", flush=True)

print("listening on", os.environ["PORT"], flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Of a module, since folders without __init__.py end no "package": a loop of Playwright's that goes on would be in
    # the way of every later test.
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Browser, platform: Site) -> Iterator[Callable[..., Watched]]:
    """`open_page(width=…, dark=…, script=…)`: a page of a browser profile of its own."""
    with pages_of(chromium, f"http://localhost:{platform.port}") as opened:
        yield opened


@pytest.fixture(scope="session")
def grace(platform: Site, repositories: GitHttpServer) -> Client:
    """An owner whose organization has a running application `shop` with some history, and one that failed."""
    owner = platform.register("grace")
    repositories.make("shop", {**plain_server(), "server.py": NOISY})
    owner.create("shop", repositories.url("shop"), replicas=3)
    owner.deployed("shop")
    repositories.commit("shop", {"note.txt": "1"}, message="Sort the orders by date")
    owner.deployed("shop")
    owner.call("PUT", "/paas/apps/shop/env?deploy=false", {"vars": {"DATABASE_URL": "postgresql://…", "MODE": "fast"}})
    for path in ("/", "/orders?page=2", "/boom"):
        owner.get("shop", path)
    repositories.make("broken", {**plain_server(), "requirements.txt": "flask===\n"})
    owner.create("broken", repositories.url("broken"))
    owner.settled("broken", owner.deploy("broken"))
    owner.call("POST", f"/organizations/{owner.organization_id}/invitations", {"email": "x@y.org", "role": "viewer"})
    return owner
