"""The list of an organization's 1,000 apps, and every dashboard page, among 1,000, 10,000 and 100,000 on the platform.

The whole HTTP application answers in this process, so that the figure is the server's own work: authentication,
queries, JSON. Rows are inserted directly: each app has a deployment, a slug and a healthy replica.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from cryptography.fernet import Fernet

from bench.report import Row, median, percentile, publish
from skypanel.accounts.policy import AuthPolicy
from skypanel.api.app import create_api
from skypanel.apps.models import App
from skypanel.apps.vault import Vault
from skypanel.builds.models import Slug
from skypanel.dashboard.cookies import SESSION
from skypanel.dashboard.routes import dashboard_router
from skypanel.db import Database
from skypanel.deployments.models import Deployment, Replica
from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.http.context import Services
from skypanel.kit.clock import SystemClock
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret
from skypanel.manage.choices import seed
from skypanel.manage.migrate import upgrade
from skypanel.orgs.models import Organization, Plan

COUNTS = (1_000, 10_000, 100_000)
LISTS = {  # path, and the bar of its p95 in milliseconds
    "GET /api/paas/apps": ("/api/paas/apps", 50.0),
    "GET /api/paas/apps?limit=200": ("/api/paas/apps?limit=200", 50.0),
    "page: list of apps": ("/apps", 100.0),
}
APP_PAGES = {
    "overview": "",
    "deployments": "/deployments",
    "a deployment": "/deployments/1",
    "logs": "/logs",
    "environment": "/environment",
    "settings": "/settings",
}
OTHER_PAGES = ("/apps/new", "/activity", "/members", "/tokens", "/organizations", "/palette?q=app", "/login")
OTHERS = {
    **{f"page: {name}": f"/apps/app-0{path}" for name, path in APP_PAGES.items()},
    **{f"page: {path}": path for path in OTHER_PAGES},
}
PAGES = {**{what: path for what, (path, _) in LISTS.items()}, **OTHERS}
PAGE_BAR_MS = 100.0
GROWTH_BAR = 1.2  # design/quality.md: time ~ count ** exponent
MINE = 1_000
REQUESTS = {**dict.fromkeys(LISTS, 150), **dict.fromkeys(OTHERS, 60)}
WARM_UP = 10
BATCH = 5_000
NOW = datetime.now(UTC)


def scratch(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    with database.transaction() as session:
        seed(session, now=NOW)
    return database


def services(database: Database) -> Services:
    return Services(
        database=database,
        clock=SystemClock(),
        vault=Vault([Fernet.generate_key().decode()]),
        auth=AuthPolicy(
            jwt_key=Secret("bench" * 10), session_hours=24, login_failures_per_quarter=1000, registration="open"
        ),
        logs=MemoryLogStore(),
        check_git_url=lambda _url: None,
        app_url=lambda slug: f"http://{slug}.apps.localhost",
        max_apps_per_org=10,
        max_deployments_per_hour=0,
        single_organization=False,
        currency="EUR",
        readiness=dict,
        public_url="http://localhost",
        git_dir=Path("/nonexistent"),
        version="0",
    )


def fill(database: Database, *, mine: str, count: int) -> None:
    """`count` apps on the platform: 1,000 of organization `mine`, the rest of organizations with ten each."""
    with database.reading() as session:
        plan = session.scalars(sa.select(Plan).limit(1)).one()
    with database.transaction() as session:
        owners = [mine] * MINE
        while len(owners) < count:
            organization = new_id()
            session.execute(
                sa.insert(Organization),
                [
                    {
                        "id": organization,
                        "slug": f"o-{organization}"[:40],
                        "name": "o",
                        "status": "active",
                        "created_at": NOW,
                    }
                ],
            )
            owners += [organization] * 10
        # Mine are spread among the others, as on a platform that grew.
        step = max(1, count // MINE)
        order = [mine if number % step == 0 and number < step * MINE else None for number in range(count)]
        others = iter(owner for owner in owners if owner != mine)
        for begin in range(0, count, BATCH):
            chunk = [owner or next(others) for owner in order[begin : begin + BATCH]]
            for table, values in _rows(chunk, begin, plan).items():
                session.execute(sa.insert(table), values)
    with database.transaction() as session:
        session.execute(sa.text("ANALYZE"))


def _rows(owners: list[str], begin: int, plan: Plan) -> dict[Any, list[dict[str, Any]]]:
    rows: dict[Any, list[dict[str, Any]]] = {App: [], Slug: [], Deployment: [], Replica: []}
    for number, owner in enumerate(owners, begin):
        app, deployment, slug = new_id(), new_id(), new_id()
        rows[App].append(_app(number, owner, app, deployment, plan))
        rows[Slug].append(_slug(app, slug))
        rows[Deployment].append(_deployment(owner, app, deployment, slug))
        rows[Replica].append(_replica(number, owner, app, deployment, plan))
    return rows


def _app(number: int, owner: str, app: str, deployment: str, plan: Plan) -> dict[str, Any]:
    return {
        "id": app,
        "organization_id": owner,
        "name": f"app {number}",
        "slug": f"app-{number}",
        "uid": 200_000 + number,
        "git_url": f"https://git.example.org/team/app-{number}.git",
        "branch": "main",
        "buildpacks": [],
        "build_cache": True,
        "plan_id": plan.id,
        "plan_slug": plan.slug,
        "cpu_millis": plan.cpu_millis,
        "memory_mb": plan.memory_mb,
        "disk_mb": plan.disk_mb,
        "max_replicas": plan.max_replicas,
        "price_per_hour_micro": plan.price_per_hour_micro,
        "formation": {"web": 1},
        "health_type": "http",
        "health_path": "/",
        "health_interval_s": 30,
        "health_timeout_s": 5,
        "health_retries": 3,
        "status": "running",
        "wanted": "running",
        "generation": 1,
        "next_version": 2,
        "current_deployment_id": deployment,
        "current_version": 1,
        "created_at": NOW,
    }


def _slug(app: str, slug: str) -> dict[str, Any]:
    return {
        "id": slug,
        "app_id": app,
        "digest": "sha256:" + "0" * 64,
        "size_bytes": 5_000_000,
        "layers": [],
        "toolchains": [],
        "process_types": {"web": "gunicorn --bind 0.0.0.0:$PORT app:app"},
        "config_vars": {},
        "buildpack": "Python (pip)",
        "stack": "host",
        "created_at": NOW,
    }


def _deployment(owner: str, app: str, deployment: str, slug: str) -> dict[str, Any]:
    return {
        "id": deployment,
        "app_id": app,
        "organization_id": owner,
        "version": 1,
        "kind": "deploy",
        "status": "running",
        "cause": "api",
        "branch": "main",
        "slug_id": slug,
        "restore_env": False,
        "created_at": NOW,
    }


def _replica(number: int, owner: str, app: str, deployment: str, plan: Plan) -> dict[str, Any]:
    return {
        "id": f"{app[-12:]}-v1-web-1-{number}",
        "app_id": app,
        "organization_id": owner,
        "deployment_id": deployment,
        "generation": 1,
        "process_type": "web",
        "position": 1,
        "state": "healthy",
        "node": "node",
        "restarts": 0,
        "failures": 0,
        "plan_slug": plan.slug,
        "price_per_hour_micro": plan.price_per_hour_micro,
        "created_at": NOW,
    }


@dataclass
class Side:
    """One platform: its application, its viewer, and the milliseconds of each request."""

    app: Any
    headers: dict[str, str]
    took: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://localhost", timeout=60)

    async def ask(self, what: str, *, keep: bool) -> None:
        async with self.client() as client:
            cpu, began = time.process_time(), time.perf_counter()
            answer = await client.get(PAGES[what], headers=self.headers)
            took = time.perf_counter() - began
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
        if keep:
            self.took.setdefault(what, []).append(took * 1000)
            self.cpu.setdefault(what, []).append((time.process_time() - cpu) * 1000)


async def prepare(path: Path, count: int) -> Side:
    database = scratch(path)
    side = Side(create_api(services(database), extra_routers=[dashboard_router()]), {})
    body = {"email": "ada@example.org", "password": "a long password of ada", "name": "Ada", "organization": "Ada"}
    async with side.client() as client:
        content = (await client.post("/api/auth/register", json=body)).json()
    organization = content["organizations"][0]["id"]
    side.headers = {
        "Authorization": f"Bearer {content['token']}",
        "X-Organization-Id": organization,
        "Cookie": f"{SESSION}={content['token']}",
    }
    fill(database, mine=organization, count=count)
    return side


async def measure(directory: Path) -> dict[int, Side]:
    """All platforms are asked in turns, so that noise of the machine meets all."""
    sides = {count: await prepare(directory / f"{count}.db", count) for count in COUNTS}
    for what, requests in REQUESTS.items():
        for number in range(WARM_UP + requests):
            for side in sides.values():
                await side.ask(what, keep=number >= WARM_UP)
    return sides


def exponent(sides: dict[int, Side], what: str) -> float:
    """e of time ~ count ** e from the smallest to the largest platform."""
    small, large = COUNTS[0], COUNTS[-1]
    ratio = median(sides[large].took[what]) / median(sides[small].took[what])
    return math.log(ratio) / math.log(large / small)


def rows(sides: dict[int, Side]) -> list[Row]:
    large, before = sides[COUNTS[-1]], sides[COUNTS[-2]]

    def row(what: str, bar: float, called: str = "") -> Row:
        name = f"{called or what}, p95, 100,000 apps on the platform"
        return Row(name, percentile(large.took[what], 95), "ms", bar, percentile(before.took[what], 95), "ms at 10,000")

    found = [row(what, bar) for what, (_, bar) in LISTS.items()]
    slowest = max(OTHERS, key=lambda what: percentile(large.took[what], 95))
    called = f"slowest of {len(OTHERS)} other pages ({slowest.removeprefix('page: ')})"
    found.append(row(slowest, PAGE_BAR_MS, called))
    for what in (*LISTS, slowest):
        found.append(Row(f"{what}: growth exponent, 1,000 to 100,000 apps", exponent(sides, what), "", GROWTH_BAR))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        sides = asyncio.run(measure(Path(name)))
    detail = {
        str(count): {
            what: {"p50 ms": median(took), "p95 ms": percentile(took, 95), "CPU ms": median(side.cpu[what])}
            for what, took in side.took.items()
        }
        for count, side in sides.items()
    }
    publish("api", rows(sides), detail=detail)


if __name__ == "__main__":
    main()
