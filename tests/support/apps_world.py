"""Two organizations with plans and members on a real database, and the API over it with the real requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from skypanel.accounts.models import User
from skypanel.accounts.passwords import Passwords
from skypanel.accounts.policy import AuthPolicy
from skypanel.accounts.tokens import create_token
from skypanel.api.app import create_api
from skypanel.apps.create import create_app, draft_app
from skypanel.apps.guards import AppLimits
from skypanel.apps.models import App
from skypanel.apps.vault import Vault, new_key
from skypanel.billing.ledger import Entry, post
from skypanel.billing.models import JournalKind
from skypanel.builds.models import Slug
from skypanel.db import Database, Session
from skypanel.deployments.models import Deployment, DeploymentStatus, Replica, ReplicaState
from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.drivers.source.port import FetchFailed
from skypanel.http.context import Services
from skypanel.kit.clock import FakeClock
from skypanel.kit.ids import new_id
from skypanel.kit.money import MICRO
from skypanel.kit.secret import Secret
from skypanel.manage.migrate import load_models
from skypanel.orgs.access import Viewer
from skypanel.orgs.models import Membership, Organization, Role
from skypanel.orgs.plans import seed_plans

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_APIS: list[FastAPI] = []
GIT_URL = "https://git.example.com/shop.git"


def refuse_local(url: str) -> None:
    """Stands in for the source driver's check: what matters here is that it is asked."""
    if not url.startswith(("https://", "ssh://", "git@")) or "localhost" in url:
        raise FetchFailed("git_refused", "This Git URL is refused.")


@dataclass
class World:
    """Everything a test of this room starts from."""

    database: Database
    clock: FakeClock
    vault: Vault
    services: Services
    viewers: dict[tuple[str, str], Viewer] = field(default_factory=dict)  # (organization, role)
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    now = NOW
    refuse_local = staticmethod(refuse_local)

    def make(self, session: Session, viewer: Viewer, **given: object) -> App:
        return make_app(session, viewer, **given)  # type: ignore[arg-type]

    def viewer(self, organization: str = "acme", role: str = "owner") -> Viewer:
        return self.viewers[organization, role]

    def client(self, organization: str = "acme", role: str = "owner") -> TestClient:
        headers = {"Authorization": f"Bearer {self.tokens[organization, role]}"}
        return TestClient(self.api(), headers=headers, raise_server_exceptions=False)

    def api(self) -> FastAPI:
        """Made once: that is what costs time. Everything it knows of a world are the services."""
        if not _APIS:
            _APIS.append(create_api(self.services))
        _APIS[0].state.services = self.services
        return _APIS[0]

    def app(self, name: str = "Shop", *, organization: str = "acme", **given: object) -> str:
        """A new application's id."""
        with self.database.transaction() as session:
            return make_app(session, self.viewer(organization), name=name, **given).id

    def release(self, app_id: str, *, version: int = 1, process_types: dict[str, str] | None = None) -> None:
        """As if a deployment had gone through: a slug, a running version, one healthy replica."""
        with self.database.transaction() as session:
            release(session, session.get_one(App, app_id), version, process_types or {"web": "run-web"})


def make_app(session: Session, viewer: Viewer, *, name: str = "Shop", **given: object) -> App:
    draft = draft_app(**{"name": name, "git_url": GIT_URL, "check_git_url": refuse_local, **given})  # type: ignore[arg-type]
    return create_app(session, viewer=viewer, draft=draft, limits=AppLimits(1000), now=NOW)


def release(session: Session, app: App, version: int, process_types: dict[str, str]) -> None:
    slug = Slug(
        id=new_id(), app_id=app.id, digest=f"sha256:{version}", size_bytes=1000, layers=[], toolchains=[],
        process_types=process_types, config_vars={}, buildpack="Python (pip)", stack="local", created_at=NOW,
    )  # fmt: skip
    session.add(slug)
    session.flush()
    for older in session.scalars(select(Deployment).where(Deployment.app_id == app.id, Deployment.status == "running")):
        older.status = DeploymentStatus.SUPERSEDED
    deployment = Deployment(
        id=new_id(), app_id=app.id, organization_id=app.organization_id, version=version, kind="deploy",
        status=DeploymentStatus.RUNNING, slug_id=slug.id, commit="a" * 40, commit_message="Say hello",
        requested_by="ann@acme.example", created_at=NOW, finished_at=NOW,
    )  # fmt: skip
    session.add(deployment)
    session.flush()
    replica = Replica(
        id=f"r-{new_id()}", app_id=app.id, organization_id=app.organization_id, deployment_id=deployment.id,
        generation=1, process_type="web", position=1, state=ReplicaState.HEALTHY, node="here", plan_slug=app.plan_slug,
        price_per_hour_micro=app.price_per_hour_micro, created_at=NOW, started_at=NOW,
    )  # fmt: skip
    session.add(replica)
    app.current_deployment_id, app.current_version, app.next_version = deployment.id, version, version + 1
    app.status = "running"


def build_world(database: Database) -> World:
    load_models().create_all(database.engine)
    clock, vault = FakeClock(NOW), Vault([new_key()])
    services = Services(
        database=database,
        clock=clock,
        vault=vault,
        auth=AuthPolicy(Secret("k" * 40), Passwords(memory_kib=8, passes=1)),
        logs=MemoryLogStore(),
        check_git_url=refuse_local,
        app_url=lambda slug: f"http://{slug}.apps.localhost:8080",
    )
    world = World(database, clock, vault, services)
    with database.transaction() as session:
        seed_plans(session, now=NOW)
        for name in ("acme", "rival"):
            organization = Organization(id=new_id(), slug=name, name=name.title(), created_at=NOW)
            session.add(organization)
            session.flush()
            fund(session, organization.id, 1000)
            for role in Role:
                _member(session, world, organization, role)
    return world


def fund(session: Session, organization_id: str, amount: int) -> None:
    """Money in its wallet, of which nobody's activity speaks."""
    entry = Entry(organization_id, JournalKind.CREDIT, amount * MICRO, f"test:{new_id()}", "to begin with", "tests")
    post(session, entry, currency="USD", now=NOW)


def _member(session: Session, world: World, organization: Organization, role: Role) -> None:
    email = f"{role.value}@{organization.slug}.example"
    user = User(id=new_id(), email=email, name=role.value, password_hash="-", created_at=NOW)
    session.add(user)
    session.flush()
    session.add(Membership(organization_id=organization.id, user_id=user.id, role=role, created_at=NOW))
    key = (organization.slug, role.value)
    world.viewers[key] = Viewer(user.id, email, organization.id, role, address="203.0.113.9")
    world.tokens[key] = create_token(session, user_id=user.id, name="t", expires_at=None, now=NOW).token.reveal()


@pytest.fixture
def world(each_database: Database) -> World:
    """Once on SQLite and once on PostgreSQL."""
    return build_world(each_database)


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """For suites that ask far too much of one world to do it twice."""
    with contextlib.closing(Database(f"sqlite:///{tmp_path / 'test.db'}")) as database:
        yield build_world(database)


@pytest.fixture
def either_world(database: Database) -> World:
    """Once on SQLite and once on PostgreSQL."""
    return build_world(database)
