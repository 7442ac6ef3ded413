"""A whole API over a real database, with people who use it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.fernet import Fernet
from fastapi.testclient import TestClient

import skypanel
from skypanel.accounts.passwords import Passwords
from skypanel.accounts.policy import AuthPolicy
from skypanel.accounts.users import create_admin
from skypanel.api.app import create_api
from skypanel.apps.vault import Vault
from skypanel.db import Base, Database
from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.gitserver.routes import router as git
from skypanel.http.context import Services
from skypanel.kit.clock import FakeClock
from skypanel.kit.secret import Secret
from skypanel.orgs.plans import seed_plans

PASSWORD = "correct horse battery"
CHEAP = Passwords(memory_kib=8, passes=1)


@dataclass
class Person:
    """Someone signed in: requests carry his token."""

    client: TestClient
    email: str
    id: str
    token: str
    organization: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", **self.headers, **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx2.Response:
        return self.request("POST", path, json=json, **options)

    def patch(self, path: str, json: Any) -> httpx2.Response:
        return self.request("PATCH", path, json=json)

    def delete(self, path: str) -> httpx2.Response:
        return self.request("DELETE", path)

    @property
    def home(self) -> str:
        return f"/api/organizations/{self.organization['id']}"


@dataclass
class Api:
    client: TestClient
    services: Services
    clock: FakeClock

    @property
    def database(self) -> Database:
        return self.services.database

    def register(self, email: str, organization: str | None = None, **more: Any) -> Person:
        name = email.split("@")[0].title()
        body = {"email": email, "password": PASSWORD, "name": name, "organization": organization, **more}
        answer = self.client.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        content = answer.json()
        return Person(self.client, email, content["user"]["id"], content["token"], content["organizations"][0])

    def admin(self) -> Person:
        now = self.clock.now()
        with self.database.transaction() as session:
            create_admin(session, passwords=CHEAP, email="root@example.com", name="Root", password=PASSWORD, now=now)
        content = self.login("root@example.com").json()
        return Person(self.client, "root@example.com", content["user"]["id"], content["token"], {})

    def login(self, email: str, password: str = PASSWORD, **options: Any) -> httpx2.Response:
        return self.client.post("/api/auth/login", json={"email": email, "password": password}, **options)

    def join(self, owner: Person, email: str, role: str) -> Person:
        """Someone new in the owner's organization."""
        invited = owner.post(f"{owner.home}/invitations", {"email": email, "role": role})
        assert invited.status_code == 201, invited.text
        return self.register(email, invitation=invited.json()["token"])


def _services(database: Database, clock: FakeClock, tmp_path: Path) -> Services:
    return Services(
        database=database,
        clock=clock,
        vault=Vault([Fernet.generate_key().decode()]),
        auth=AuthPolicy(jwt_key=Secret("k" * 48), passwords=CHEAP, login_failures_per_quarter=5),
        logs=MemoryLogStore(),
        check_git_url=lambda _url: None,
        app_url=lambda subdomain: f"http://{subdomain}.apps.localhost:8080",
        git_dir=tmp_path / "git",
        version="1.2.3",
        signup_credit_micro=1_000_000_000,
    )


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    for room in pkgutil.iter_modules(skypanel.__path__, "skypanel."):
        if room.ispkg and importlib.util.find_spec(f"{room.name}.models") is not None:
            importlib.import_module(f"{room.name}.models")
    database = Database(f"sqlite:///{tmp_path / 'api.db'}")
    Base.metadata.create_all(database.engine)
    with contextlib.closing(database):
        yield database


MakesApi = Callable[..., Api]


@pytest.fixture
def make_api(tmp_path: Path) -> Iterator[MakesApi]:
    """An API over any database; `changes` replace fields of its services."""
    with contextlib.ExitStack() as stack:

        def make(database: Database, **changes: Any) -> Api:
            clock = FakeClock()
            services = replace(_services(database, clock, tmp_path), **changes)
            with database.transaction() as session:
                seed_plans(session, now=clock.now())
            app = create_api(services, extra_routers=[git])
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False, client=("203.0.113.9", 4711)))
            return Api(client, services, clock)

        yield make


@pytest.fixture
def api(make_api: MakesApi, each_database: Database) -> Api:
    """The API, once on SQLite and once on PostgreSQL."""
    return make_api(each_database)


@pytest.fixture
def sqlite_api(make_api: MakesApi, sqlite_database: Database) -> Api:
    """For suites that ask far too much of one API to do it twice."""
    return make_api(sqlite_database)


@pytest.fixture
def either_api(make_api: MakesApi, database: Database) -> Api:
    """The API on SQLite and on PostgreSQL: for what locks, races or writes SQL of its own."""
    return make_api(database)
