"""The world of the applications' tests, seen through the dashboard."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from skypanel.accounts.models import User
from skypanel.api.app import create_api
from skypanel.dashboard.routes import dashboard_router
from skypanel.db import Database

_APIS: list[FastAPI] = []
PASSWORD = "correct horse battery"


def _apps_world() -> ModuleType:
    path = Path(__file__).parents[1] / "apps" / "conftest.py"
    spec = importlib.util.spec_from_file_location("skypanel_apps_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
def world(tmp_path: Path) -> Iterator[Any]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    world = _apps_world().build_world(database)
    with database.transaction() as session:
        hashed = world.services.auth.passwords.hash(PASSWORD)
        for user in session.query(User):
            user.password_hash = hashed
    yield world
    database.close()


@pytest.fixture
def browser(world: Any) -> Callable[[], Browser]:
    """A new browser without cookies, at each call."""
    if not _APIS:  # made once: that is what costs time
        _APIS.append(create_api(world.services, extra_routers=[dashboard_router()]))
    api = _APIS[0]
    api.state.services = world.services
    return lambda: Browser(TestClient(api, raise_server_exceptions=False))
