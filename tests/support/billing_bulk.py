"""Many applications at once, as rows: what verbs would leave behind, without the time they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from skypanel.apps.models import App, PlanPeriod
from skypanel.billing.core.hours import HOUR, hour_of
from skypanel.billing.ledger import Entry, post_all
from skypanel.billing.models import BillingHour, JournalKind
from skypanel.builds.models import Slug
from skypanel.db import Database
from skypanel.deployments.models import Deployment, Replica
from skypanel.orgs.models import Organization, Plan
from skypanel.orgs.plans import seed_plans

CHUNK = 1000
CURRENCY = "USD"


def populate(
    database: Database, *, apps: int, organizations: int, big: int, since: datetime, funds: int = 10**12, old: int = 0
) -> None:
    """Each runs one replica from `since` on. The first `big` belong to one organization, the others to the rest in
    turn; `old`: replicas of each that came and went long ago. What was before `since` has been charged."""
    with database.transaction() as session:
        seed_plans(session, now=since)
        names = [f"org-{number:05d}" for number in range(organizations)]
        session.add_all(Organization(id=name, slug=name, name=name, created_at=since) for name in names)
        session.flush()
        entries = [
            Entry(name, JournalKind.CREDIT, funds, f"first:{name}", "to begin with", "root") for name in names
        ]  # fmt: skip
        post_all(session, entries, currency=CURRENCY, now=since)
        plan = session.scalars(sa.select(Plan).where(Plan.slug == "hobby")).one()
        terms = {
            "plan_slug": plan.slug, "price_per_hour_micro": plan.price_per_hour_micro,
            "storage_price_micro": 1_000_000, "log_price_micro": 0,
        }  # fmt: skip
        plan_id = plan.id
        session.add(BillingHour(hour=hour_of(since) - HOUR, finished_at=since))
    for first in range(0, apps, CHUNK):
        with database.transaction() as session:
            rows = [
                _rows(number, _owner(number, big, names), terms, plan_id, since, old)
                for number in range(first, min(apps, first + CHUNK))
            ]
            for table in (App, PlanPeriod, Slug, Deployment, Replica):
                found = [row for each in rows for kind, row in each if kind is table]
                session.execute(sa.insert(table), found)
    if database.dialect == "postgresql":
        with database.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")


def _owner(number: int, big: int, names: list[str]) -> str:
    return names[0] if number < big else names[1 + number % (len(names) - 1)]


def _rows(
    number: int, owner: str, terms: Mapping[str, Any], plan_id: str, since: datetime, old: int
) -> list[tuple[type, dict[str, Any]]]:
    app_id = f"{number * 2654435761 % 2**32:08x}-app-{number:06d}"  # in no order, as ids of many servers are
    slug_id, deployment_id = f"slug-{number}", f"deployment-{number}"
    running = {
        "app_id": app_id, "organization_id": owner, "deployment_id": deployment_id, "generation": 1,
        "process_type": "web", "position": 1, "node": "m1", "restarts": 0, "failures": 0, "created_at": since,
        "plan_slug": terms["plan_slug"], "price_per_hour_micro": terms["price_per_hour_micro"],
    }  # fmt: skip
    gone = [
        {**running, "id": f"old-{number}-{n}", "state": "gone", "metered_from": since - timedelta(days=2 + n),
         "metered_until": since - timedelta(days=1 + n)}
        for n in range(old)
    ]  # fmt: skip
    serving = {**running, "id": f"replica-{number}", "state": "healthy", "metered_from": since, "metered_until": None}
    return [
        (App, {
            "id": app_id, "organization_id": owner, "name": app_id, "slug": app_id, "uid": number, "git_url": "x",
            "branch": "", "buildpacks": [], "plan_id": plan_id, "cpu_millis": 100, "memory_mb": 64, "disk_mb": 64,
            "max_replicas": 5, "formation": {"web": 1}, "wanted": "running", "status": "running",
            "current_deployment_id": deployment_id, "current_version": 1, "created_at": since, **terms,
        }),
        (PlanPeriod, {"app_id": app_id, "number": 0, "since": since, **terms}),
        (Slug, {
            "id": slug_id, "app_id": app_id, "digest": "x", "size_bytes": 50_000_000, "layers": [], "toolchains": [],
            "process_types": {"web": "x"}, "config_vars": {}, "buildpack": "x", "stack": "x", "created_at": since,
        }),
        (Deployment, {
            "id": deployment_id, "app_id": app_id, "organization_id": owner, "version": 1, "kind": "deploy",
            "status": "running", "slug_id": slug_id, "created_at": since, "finished_at": since,
        }),
        *((Replica, row) for row in (*gone, serving)),
    ]  # fmt: skip


def state(database: Database) -> Iterator[tuple[Any, ...]]:
    """What a run leaves, without what may differ: journals are cut where a worker was killed."""
    with database.engine.connect() as connection:
        for query in (
            "SELECT app_id, hour, plan_slug, revision, replica_seconds, replica_micro, byte_seconds, storage_micro, "
            "log_bytes, log_micro, amount_micro, journal_id IS NULL FROM usage_records "
            "ORDER BY app_id, hour, plan_slug, revision",
            "SELECT id, balance_micro FROM ledger_accounts ORDER BY id",
            "SELECT hour, finished_at IS NULL FROM billing_hours ORDER BY hour",
            "SELECT j.organization_id, j.hour, sum(p.amount_micro) FROM ledger_journals j "
            "JOIN ledger_postings p ON p.journal_id = j.id WHERE p.account_id LIKE 'wallet:%' "
            "GROUP BY j.organization_id, j.hour ORDER BY 1, 2",
            "SELECT id, status FROM organizations ORDER BY id",
            "SELECT organization_id, warned_hours, suspended_for FROM wallet_states ORDER BY organization_id",
            "SELECT kind, CAST(args AS text), count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1, 2",
        ):
            yield from (tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%")))
