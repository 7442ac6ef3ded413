"""`GET /api/paas/apps` of an organization with 1,000 apps among 10,000, 100,000 on the platform, on scratch databases.

The whole HTTP application answers in this process, so that the figure is the server's own work: authentication,
queries, JSON. Rows are inserted directly: each app has a deployment, a slug and a healthy replica.
"""

from __future__ import annotations

import asyncio
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

COUNTS = (10_000, 100_000)
PAGES = {
    "GET /api/paas/apps": "/api/paas/apps",
    "GET /api/paas/apps?limit=200": "/api/paas/apps?limit=200",
    "dashboard, list of apps": "/apps",
}
BARS = {"GET /api/paas/apps": 50.0, "GET /api/paas/apps?limit=200": 50.0, "dashboard, list of apps": 100.0}
MINE = 1_000
REQUESTS = 150
WARM_UP = 20
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
    apps, deployments, slugs, replicas = [], [], [], []
    for number, owner in enumerate(owners, begin):
        app, deployment, slug = new_id(), new_id(), new_id()
        apps.append(
            {
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
        )
        slugs.append(
            {
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
        )
        deployments.append(
            {
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
        )
        replicas.append(
            {
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
        )
    return {App: apps, Slug: slugs, Deployment: deployments, Replica: replicas}


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
    """Both platforms are asked in turns, so that noise of the machine meets both."""
    sides = {count: await prepare(directory / f"{count}.db", count) for count in COUNTS}
    for number in range(WARM_UP + REQUESTS):
        for what in PAGES:
            for side in sides.values():
                await side.ask(what, keep=number >= WARM_UP)
    return sides


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        sides = asyncio.run(measure(Path(name)))
    small, large = (sides[count] for count in COUNTS)
    rows = [
        Row(
            f"{what}, p95, 1,000 apps of the organization, 100,000 in all",
            percentile(large.took[what], 95),
            "ms",
            bar,
            percentile(small.took[what], 95),
            "ms at 10,000",
        )
        for what, bar in BARS.items()
    ]
    for what in PAGES:
        growth = median(large.took[what]) / median(small.took[what])
        rows.append(Row(f"{what}: median at 100,000 ÷ at 10,000", growth, "x", 1.2, 1.0))
    detail = {
        str(count): {
            what: {"p50 ms": median(took), "p95 ms": percentile(took, 95), "CPU ms": median(side.cpu[what])}
            for what, took in side.took.items()
        }
        for count, side in sides.items()
    }
    publish("api", rows, detail=detail)
    print(detail)


if __name__ == "__main__":
    main()
