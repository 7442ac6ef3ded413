"""Organizations with applications whose replicas come and go by a clock that a test moves: no engine, only records,
made by the same verbs that deployments use."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from skypanel.activity.record import Actor
from skypanel.apps.models import App, Wanted
from skypanel.apps.plan_choice import take_plan
from skypanel.apps.recheck import recheck
from skypanel.billing.charge import LAG, Charger
from skypanel.billing.credit import enter
from skypanel.billing.ledger import balance, check
from skypanel.billing.models import JournalKind, UsageRecord
from skypanel.billing.recheck import Rechecker
from skypanel.billing.volumes import add_volumes
from skypanel.builds.models import Slug
from skypanel.db import Database
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.deployments.replicas import gone, leaves, serves
from skypanel.kit.clock import FakeClock
from skypanel.kit.money import from_decimal_string
from skypanel.orgs.models import Organization
from skypanel.orgs.plans import get_plan, seed_plans

ROOT = Actor("root@example.com")
BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)
CURRENCY = "USD"


@dataclass
class World:
    database: Database
    clock: FakeClock = field(default_factory=lambda: FakeClock(BEGIN))
    chunk: int = 1000

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        with self.database.transaction() as session:
            seed_plans(session, now=self.clock.now())

    def organization(self, name: str, *, funds: str = "1000", billed: bool = True) -> str:
        with self.database.transaction() as session:
            found = Organization(id=name, slug=name, name=name.title(), billed=billed, created_at=self.clock.now())
            session.add(found)
            session.flush()
            if from_decimal_string(funds):
                enter(
                    session, found, kind=JournalKind.CREDIT, amount_micro=from_decimal_string(funds),
                    reason="to begin with", by=ROOT, now=self.clock.now(), currency=CURRENCY,
                )  # fmt: skip
        return name

    def app(self, organization: str, *, plan: str = "hobby", formation: Mapping[str, int] | None = None) -> str:
        """With a release; nothing runs yet."""
        number = next(self._numbers)
        app_id = f"{organization[-24:]}-app-{number:06d}"
        with self.database.transaction() as session:
            now = self.clock.now()
            app = App(
                id=app_id, organization_id=organization, name=app_id, slug=app_id, uid=number, git_url="x", branch="",
                buildpacks=[], formation=dict(formation or {"web": 1}), wanted=Wanted.RUNNING, status="running",
                created_at=now,
            )  # fmt: skip
            take_plan(session, app, get_plan(session, plan), now=now)
            slug = Slug(
                id=f"slug-{number}", app_id=app_id, digest="sha256:0", size_bytes=0, layers=[], toolchains=[],
                process_types={"web": "run"}, config_vars={}, buildpack="x", stack="x", created_at=now,
            )  # fmt: skip
            deployment = Deployment(
                id=f"deployment-{number}", app_id=app_id, organization_id=organization, version=1, kind="deploy",
                status="running", slug_id=slug.id, created_at=now, finished_at=now,
            )  # fmt: skip
            session.add(slug)
            session.flush()
            session.add(deployment)
            app.current_deployment_id, app.current_version = deployment.id, 1
        return app_id

    def slug(self, app_id: str, size: int) -> str:
        """Another release is kept."""
        with self.database.transaction() as session:
            slug = Slug(
                app_id=app_id, digest="sha256:1", size_bytes=size, layers=[], toolchains=[], process_types={},
                config_vars={}, buildpack="x", stack="x", created_at=self.clock.now(),
            )  # fmt: skip
            session.add(slug)
            session.flush()
            recheck(session, app_id, since=self.clock.now())
            return slug.id

    def drop_slug(self, slug_id: str) -> None:
        """Retention takes it."""
        with self.database.transaction() as session:
            slug = session.get_one(Slug, slug_id)
            slug.removed_at = self.clock.now()
            recheck(session, slug.app_id, since=slug.removed_at)

    def logs(self, app_id: str, hour: datetime, size: int) -> None:
        """What was counted in that hour is written down now."""
        with self.database.transaction() as session:
            add_volumes(session, {(app_id, hour): size})

    def pay_in(self, organization: str, amount_micro: int) -> None:
        with self.database.transaction() as session:
            enter(
                session, session.get_one(Organization, organization), kind=JournalKind.CREDIT,
                amount_micro=amount_micro, reason="a refill", by=ROOT, now=self.clock.now(), currency=CURRENCY,
            )  # fmt: skip

    def suspended(self) -> set[str]:
        with self.database.reading() as session:
            return set(session.scalars(sa.select(Organization.id).where(Organization.status == "suspended")))

    def start(self, app_id: str) -> str:
        """A replica begins to serve."""
        with self.database.transaction() as session:
            app, now = session.get_one(App, app_id), self.clock.now()
            assert app.current_deployment_id is not None
            replica = Replica(
                id=f"replica-{next(self._numbers)}", app_id=app_id, organization_id=app.organization_id,
                deployment_id=app.current_deployment_id, generation=1, process_type="web", position=1,
                state=ReplicaState.HEALTHY, node="m1", plan_slug=app.plan_slug,
                price_per_hour_micro=app.price_per_hour_micro, started_at=now, created_at=now,
            )  # fmt: skip
            serves([replica], now=now)
            session.add(replica)
            return replica.id

    def stop(self, replica_id: str) -> None:
        with self.database.transaction() as session:
            now = self.clock.now()
            replica = session.get_one(Replica, replica_id)
            leaves(replica, at=now)
            replica.state = ReplicaState.DRAINING

    def dies(self, replica_id: str, *, ago: timedelta = timedelta(0)) -> None:
        """It ended then, and that is noticed now."""
        with self.database.transaction() as session:
            now = self.clock.now()
            gone(session.get_one(Replica, replica_id), at=now - ago)

    def change_plan(self, app_id: str, plan: str) -> None:
        with self.database.transaction() as session:
            app = session.get_one(App, app_id)
            take_plan(session, app, get_plan(session, plan), now=self.clock.now())

    def delete(self, app_id: str) -> None:
        with self.database.transaction() as session:
            session.get_one(App, app_id).deleted_at = self.clock.now()
            recheck(session, app_id, since=self.clock.now())

    # --- the platform's part

    @property
    def charger(self) -> Charger:
        return Charger(self.database, self.clock, CURRENCY, self.chunk)

    def bill(self) -> None:
        """As the worker does every few minutes."""
        Rechecker(self.database, self.clock, CURRENCY).run()
        self.charger.run()

    def advance(self, **delta: float) -> None:
        self.clock.advance(timedelta(**delta))

    def until_billed(self, moment: datetime) -> None:
        """The clock is at `moment` and a little later, and all before it is charged."""
        self.clock.moment = max(self.clock.moment, moment + LAG)
        self.bill()

    # --- what came of it

    def balance(self, organization: str) -> int:
        with self.database.reading() as session:
            assert check(session) == []
            return balance(session, organization)

    def records(self, app_id: str) -> list[UsageRecord]:
        with self.database.reading() as session:
            query = sa.select(UsageRecord).where(UsageRecord.app_id == app_id)
            return list(session.scalars(query.order_by(UsageRecord.hour, UsageRecord.plan_slug, UsageRecord.revision)))

    def charged(self, app_id: str) -> int:
        return sum(record.amount_micro for record in self.records(app_id))

    def read(self, app_id: str) -> App:
        with self.database.reading() as session:
            return session.get_one(App, app_id)
