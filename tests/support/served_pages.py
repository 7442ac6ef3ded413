"""The dashboard over the world of the applications' tests, served to a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from apps_world import build_world
from asgi_server import serving
from browser_page import Watched, launched, pages_of
from machines_world import make_admin
from playwright.sync_api import Browser

from skypanel.api.app import create_api
from skypanel.dashboard.routes import dashboard_router
from skypanel.db import Database


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    """With a platform admin who is a member of acme, on SQLite; pages hear of its changes."""
    with closing(Database(f"sqlite:///{tmp_path / 'test.db'}")) as database:
        world = build_world(database)
        make_admin(world)
        world.services.changes.announce_for(world.database)
        yield world


@contextmanager
def served(world: Any, chromium: Browser) -> Iterator[Callable[..., Watched]]:
    """Pages of the platform admin, who has signed in."""
    with (
        serving(create_api(world.services, extra_routers=[dashboard_router()])) as url,
        pages_of(chromium, url) as opened,
    ):

        def signed_in(**given: Any) -> Watched:
            seen = opened(**given)
            seen.sign_in("root")
            return seen

        yield signed_in
