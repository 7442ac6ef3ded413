"""Hours that pass in the world of the applications' tests: replicas serve by a clock that a test moves, and the real
hourly run charges them."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps_world import World
from sqlalchemy import select

from skypanel.activity.record import Actor
from skypanel.apps.models import App
from skypanel.billing.charge import LAG, Charger
from skypanel.billing.credit import enter
from skypanel.billing.ledger import balance
from skypanel.billing.models import JournalKind
from skypanel.deployments.models import Replica
from skypanel.deployments.replicas import leaves, serves
from skypanel.kit.money import from_decimal_string
from skypanel.orgs.models import Organization

ROOT = Actor("root@platform.example")


def serves_from(world: World, app_id: str, moment: datetime | None = None) -> None:
    """All its replicas."""
    with world.database.transaction() as session:
        replicas = list(session.scalars(select(Replica).where(Replica.app_id == app_id)))
        serves(replicas, now=moment or world.clock.now())


def leaves_at(world: World, app_id: str, moment: datetime) -> None:
    with world.database.transaction() as session:
        for replica in session.scalars(select(Replica).where(Replica.app_id == app_id)):
            leaves(replica, at=moment)


def running(world: World, name: str = "Shop", *, organization: str = "acme", plan: str = "hobby") -> str:
    """An application with one replica, which serves from now on."""
    world.release(app_id := world.app(name, organization=organization, plan=plan))
    serves_from(world, app_id)
    return app_id


def hours_pass(world: World, count: int) -> None:
    world.clock.advance(timedelta(hours=count))
    world.clock.moment = max(world.clock.moment, world.clock.moment.replace(minute=0, second=0) + LAG)
    Charger(world.database, world.clock, "USD").run()


def set_balance(world: World, amount: str, organization: str = "acme") -> None:
    """By an adjustment, as an admin would."""
    with world.database.transaction() as session:
        found = session.get_one(Organization, world.viewer(organization).organization_id)
        wanted = from_decimal_string(amount) - balance(session, found.id)
        if wanted:
            enter(
                session, found, kind=JournalKind.ADJUSTMENT, amount_micro=wanted, reason="for the test", by=ROOT,
                now=world.clock.now(), currency="USD",
            )  # fmt: skip


def organization(world: World, name: str = "acme") -> Organization:
    with world.database.reading() as session:
        return session.get_one(Organization, world.viewer(name).organization_id)


def stored(world: World, app_id: str) -> App:
    with world.database.reading() as session:
        return session.get_one(App, app_id)
