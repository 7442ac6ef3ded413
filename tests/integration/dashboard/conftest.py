"""The world of the applications' tests, seen through the dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from apps_world import build_world
from fastapi import FastAPI
from fastapi.testclient import TestClient
from machines_world import ADMIN, make_admin
from machines_world import PASSWORD as ADMINS_PASSWORD

from skypanel.accounts.models import User
from skypanel.api.app import create_api
from skypanel.dashboard.routes import dashboard_router
from skypanel.db import Database

_APIS: list[FastAPI] = []
PASSWORD = "correct horse battery"
OWNER = "owner@acme.example"


class Browser:
    """A person's browser: keeps cookies, fills the forms it was shown."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.answer: Any = None

    def go(self, path: str) -> str:
        self.answer = self.client.get(path)
        return str(self.answer.text)

    def token(self) -> str:
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.answer.text)
        assert found is not None, "the page has no form"
        return found[1]

    def submit(self, path: str, **fields: str) -> str:
        self.answer = self.client.post(path, data={"token": self.token(), **fields})
        return str(self.answer.text)

    def submit_after(self, page: str, path: str, **fields: str) -> str:
        """Looks at `page` first, whose form it is."""
        self.go(page)
        return self.submit(path, **fields)

    def sign_in(self, email: str, password: str = PASSWORD) -> str:
        self.go("/login")
        return self.submit("/login", email=email, password=password)


@pytest.fixture
def world(each_database: Database) -> Any:
    """Once on SQLite and once on PostgreSQL."""
    world = build_world(each_database)
    with each_database.transaction() as session:
        hashed = world.services.auth.passwords.hash(PASSWORD)
        for user in session.query(User):
            user.password_hash = hashed
    return world


@pytest.fixture
def browser(world: Any) -> Callable[[], Browser]:
    """A new browser without cookies, at each call."""
    if not _APIS:  # made once: that is what costs time
        _APIS.append(create_api(world.services, extra_routers=[dashboard_router()]))
    api = _APIS[0]

    def opened() -> Browser:
        api.state.services = world.services
        return Browser(TestClient(api, raise_server_exceptions=False))

    return opened


@pytest.fixture
def person(browser: Callable[[], Browser]) -> Callable[..., Browser]:
    """A new browser of somebody who has signed in, at each call."""

    def sign_in(email: str = OWNER) -> Browser:
        someone = browser()
        someone.sign_in(email)
        return someone

    return sign_in


@pytest.fixture
def admin(world: Any, browser: Callable[[], Browser]) -> Callable[[], Browser]:
    """A new browser of a platform admin, a member of acme, at each call."""
    make_admin(world)

    def signed_in() -> Browser:
        someone = browser()
        someone.sign_in(ADMIN, ADMINS_PASSWORD)
        return someone

    return signed_in
