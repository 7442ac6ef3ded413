"""A wallet that runs dry: told twice, put to rest at zero in the transaction of the charge, woken as it was."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from apps_world import World as Api
from apps_world import build_world
from billing_world import BEGIN, CURRENCY, ROOT, World

from skypanel.activity.models import Activity
from skypanel.apps.models import App, Wanted
from skypanel.billing.charge import LAG
from skypanel.billing.credit import set_cap
from skypanel.billing.ledger import Entry, balance, post
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import (
    ADMIN,
    after_charge,
    hour_when_resumed,
    resume,
    resume_with_the_month,
    suspend,
)
from skypanel.db import Database
from skypanel.deployments.models import Deployment
from skypanel.drivers.mail.port import NoMail
from skypanel.errors import Conflict
from skypanel.jobs import Job
from skypanel.kit.ids import new_id
from skypanel.logs.volume import Volumes
from skypanel.orgs.models import Organization
from skypanel.worker.bookkeeping import Bookkeeper

HOUR = timedelta(hours=1)
HOBBY = 6_900


def told(world: World, verb: str) -> list[str]:
    with world.database.reading() as session:
        return list(session.scalars(sa.select(Activity.message).where(Activity.verb == verb).order_by(Activity.id)))


def jobs(world: World, kind: str) -> list[dict[str, object]]:
    with world.database.reading() as session:
        return [dict(args) for args in session.scalars(sa.select(Job.args).where(Job.kind == kind))]


def funds(hours: int) -> str:
    return str(hours * HOBBY / 1_000_000)


def test_it_is_said_once_at_72_hours_once_at_24_and_again_after_a_refill(world: World) -> None:
    world.organization("acme", funds=funds(74))
    world.start(world.app("acme"))
    seen = []
    for hour in range(1, 74):
        world.until_billed(BEGIN + hour * HOUR)
        seen.append(len(told(world, "wallet.low")))
    assert [seen.index(n) + 1 for n in (1, 2)] == [3, 51]  # 71 and 23 hours are left
    assert seen[-1] == 2
    assert len(jobs(world, "mail.owners")) == 2
    world.pay_in("acme", 10 * HOBBY)
    for hour in range(74, 77):
        world.until_billed(BEGIN + hour * HOUR)
    assert len(told(world, "wallet.low")) == 3  # the graver one only


@pytest.mark.parametrize(
    ("hours", "messages"),
    [
        ([20, 500, 71, 23], [1, 1, 2, 3]),  # it recovered: both marks are new
        ([20, 40, 23], [1, 1, 2]),  # the lower one is
        ([23, 29, 23, 30, 23], [1, 1, 1, 1, 2]),  # about a mark it wavers
        ([71, 89, 71, 90, 71], [1, 1, 1, 1, 2]),
        ([20, 80, 71, 23], [1, 1, 1, 2]),  # above the lower one's, below that of the other
        ([20, None, 20], [1, 1, 1]),  # for a moment nothing serves
    ],
)
def test_it_is_said_again_after_hours_left_were_well_above_the_mark(
    world: World, hours: list[int | None], messages: list[int]
) -> None:
    """Without a refill: less runs, and later more."""
    world.organization("acme", funds=funds(1))
    app, replica, seen = world.app("acme"), "", []
    for left in hours:
        if replica:
            world.stop(replica)
        replica = world.start(app) if left is not None else ""
        looked_at(world, left or 20)
        seen.append(len(told(world, "wallet.low")))
    assert (seen, len(jobs(world, "mail.owners"))) == (messages, messages[-1])


def looked_at(world: World, hours: int) -> None:
    """After a charge that left that many hours of one replica."""
    with world.database.transaction() as session:
        differs, now = hours * HOBBY - balance(session, "acme"), world.clock.now()
        if differs:
            entry = Entry("acme", JournalKind.CORRECTION, differs, new_id(), "hours", "platform")
            post(session, entry, currency=CURRENCY, now=now)
        after_charge(session, ["acme"], currency=CURRENCY, now=now)


def test_at_zero_everything_rests_in_the_transaction_of_the_charge(world: World) -> None:
    world.organization("acme", funds=funds(2))
    running, stopped = world.app("acme"), world.app("acme")
    with world.database.transaction() as session:
        session.get_one(App, stopped).wanted = Wanted.STOPPED
        current = session.get_one(Deployment, session.get_one(App, running).current_deployment_id)
        session.add(
            Deployment(
                id="under-way", app_id=running, organization_id="acme", version=2, kind="deploy", status="queued",
                slug_id=current.slug_id, created_at=world.clock.now(),
            )
        )  # fmt: skip
    world.start(running)
    world.until_billed(BEGIN + HOUR)
    assert world.suspended() == set()
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.suspended() == {"acme"}
    assert (world.read(running).status, world.read(running).wanted) == ("suspended", "suspended")
    assert world.read(stopped).wanted == "stopped"
    assert [args["app_id"] for args in jobs(world, "app.stop")] == [running]
    assert "wallet is empty" in told(world, "organization.suspended")[0]
    with world.database.reading() as session:
        assert session.get_one(Deployment, "under-way").status == "cancelled"


def test_a_charge_that_breaks_off_suspends_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.organization("acme", funds=funds(1))
    app = world.app("acme")
    world.start(app)

    def breaks(*args: object, **given: object) -> None:
        after_charge(*args, **given)  # type: ignore[arg-type]
        raise RuntimeError("the machine is switched off")

    monkeypatch.setattr("skypanel.billing.charge.after_charge", breaks)
    with pytest.raises(RuntimeError):
        world.until_billed(BEGIN + HOUR)
    assert (world.suspended(), world.records(app)) == (set(), [])
    monkeypatch.undo()
    world.bill()
    assert (world.suspended(), world.charged(app)) == ({"acme"}, HOBBY)


def test_a_refill_brings_back_what_ran_and_nothing_else(world: World) -> None:
    world.organization("acme", funds=funds(1))
    running, stopped = world.app("acme", formation={"web": 1}), world.app("acme")
    with world.database.transaction() as session:
        session.get_one(App, stopped).wanted = Wanted.STOPPED
    world.start(running)
    world.until_billed(BEGIN + HOUR)
    assert world.suspended() == {"acme"}
    world.pay_in("acme", HOBBY - 1)
    assert world.suspended() == {"acme"}  # not an hour of what was running
    world.pay_in("acme", 1)
    assert world.suspended() == set()
    assert (world.read(running).wanted, world.read(stopped).wanted) == ("running", "stopped")
    assert world.read(running).formation == {"web": 1}
    assert [args["app_id"] for args in jobs(world, "app.restart")] == [running]


def test_what_was_never_deployed_needs_no_money_to_be_resumed(world: World) -> None:
    world.organization("acme", funds=funds(1))
    running, fresh = world.app("acme"), world.app("acme", formation={"web": 1})
    world.slug(fresh, 10**9)  # of a build whose deployment failed
    with world.database.transaction() as session:
        app = session.get_one(App, fresh)
        app.current_deployment_id, app.current_version, app.storage_price_micro = None, None, 100
    world.start(running)
    world.until_billed(BEGIN + HOUR)
    assert world.suspended() == {"acme"}
    with world.database.reading() as session:
        assert hour_when_resumed(session, "acme") == HOBBY + 100


def test_what_the_admin_suspended_is_not_lifted_by_money(world: World) -> None:
    world.organization("acme", funds=funds(1))
    app = world.app("acme")
    world.start(app)
    with world.database.transaction() as session:
        suspend(session, session.get_one(Organization, "acme"), ADMIN, by=ROOT, now=world.clock.now())
    world.pay_in("acme", 10**9)
    assert world.suspended() == {"acme"}
    with world.database.transaction() as session:
        organization = session.get_one(Organization, "acme")
        with pytest.raises(Conflict, match="Only the admin"):
            resume(session, organization, by=ROOT, now=world.clock.now(), currency=CURRENCY)
        resume(session, organization, by=ROOT, now=world.clock.now(), currency=CURRENCY, as_admin=True)
        with pytest.raises(Conflict, match="not suspended"):
            resume(session, organization, by=ROOT, now=world.clock.now(), currency=CURRENCY, as_admin=True)
    assert world.suspended() == set()


def test_an_admin_who_suspends_what_had_run_dry_keeps_it_so(world: World) -> None:
    world.organization("acme", funds=funds(1))
    world.start(world.app("acme"))
    world.until_billed(BEGIN + HOUR)
    with world.database.transaction() as session:
        suspend(session, session.get_one(Organization, "acme"), ADMIN, by=ROOT, now=world.clock.now())
    world.pay_in("acme", 10**9)
    assert world.suspended() == {"acme"}


def test_the_cap_of_a_month_stops_and_a_higher_one_resumes(world: World) -> None:
    world.organization("acme")
    world.start(world.app("acme"))
    capped(world, 2 * HOBBY)
    world.until_billed(BEGIN + HOUR)
    assert world.suspended() == set()
    world.until_billed(BEGIN + 2 * HOUR)
    assert world.suspended() == {"acme"}
    assert "cap" in told(world, "organization.suspended")[0]
    world.pay_in("acme", 10**9)
    assert world.suspended() == {"acme"}  # money is not what it lacks
    capped(world, 3 * HOBBY)
    assert world.suspended() == set()


def test_a_correction_that_gives_the_money_back_resumes(world: World) -> None:
    world.organization("acme", funds="0.0069")
    replica = world.start(world.app("acme"))
    world.until_billed(BEGIN + HOUR)
    assert world.suspended() == {"acme"}
    world.dies(replica, ago=HOUR + LAG)  # as soon as it began, which nobody had seen
    world.bill()
    assert world.suspended() == set()


def test_a_cap_that_is_spent_stops_until_the_month_is_over(world: World) -> None:
    world.organization("acme")
    world.start(world.app("acme"))
    capped(world, HOBBY)
    world.until_billed(BEGIN + HOUR)
    assert (world.suspended(), begin_the_month(world)) == ({"acme"}, 0)
    world.clock.moment = BEGIN.replace(month=BEGIN.month + 1, day=1, hour=0)
    assert (begin_the_month(world), world.suspended()) == (1, set())


def test_the_run_that_bills_lifts_a_spent_cap_with_the_month(world: World) -> None:
    world.organization("acme")
    world.start(world.app("acme"))
    capped(world, HOBBY)
    long_up = math.inf  # its first minute is over
    books = Bookkeeper(world.database, world.clock, CURRENCY, Volumes(world.clock), NoMail(), monotonic=lambda: long_up)
    for moment, suspended in (
        (BEGIN + HOUR + LAG, {"acme"}),
        (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), {"acme"}),
        (datetime(2026, 4, 1, tzinfo=UTC), set()),
    ):
        world.clock.moment = moment
        books.bill()
        assert world.suspended() == suspended, moment


def begin_the_month(world: World) -> int:
    with world.database.transaction() as session:
        return resume_with_the_month(session, now=world.clock.now(), currency=CURRENCY)


def capped(world: World, cap: int) -> None:
    with world.database.transaction() as session:
        organization = session.get_one(Organization, "acme")
        set_cap(session, organization, cap_micro=cap, by=ROOT, now=world.clock.now(), currency=CURRENCY)


def test_a_free_organization_is_never_suspended_or_warned(world: World) -> None:
    world.organization("acme", funds="0", billed=False)
    world.start(world.app("acme"))
    for hour in range(1, 5):
        world.until_billed(BEGIN + hour * HOUR)
    assert (world.suspended(), told(world, "wallet.low")) == (set(), [])


# --- what a suspended organization is told


@pytest.fixture
def api(each_database: Database) -> Api:
    return build_world(each_database)


REFUSED = {
    "deploy": ("POST", "/deploy", {}),
    "scale": ("POST", "/scale", {"replicas": 2}),
    "restart": ("POST", "/restart", None),
    "rollback": ("POST", "/rollback", {"version": 1}),
    "run": ("POST", "/run", {"command": "true"}),
    "plan": ("PATCH", "", {"plan": "pro"}),
}


def test_a_suspended_organization_can_start_nothing_and_is_told_why(api: Api) -> None:
    app_id = api.app()
    api.release(app_id)
    with api.database.transaction() as session:
        organization = session.get_one(Organization, api.viewer().organization_id)
        post(session, Entry(organization.id, JournalKind.CREDIT, 10**9, "k", "first", "root"), currency="USD",
             now=api.now)  # fmt: skip
        suspend(session, organization, "funds", by=ROOT, now=api.now)
    client = api.client()
    for name, (method, path, body) in REFUSED.items():
        answer = client.request(method, f"/api/paas/apps/shop{path}", json=body)
        assert (name, answer.status_code, answer.json().get("code")) == (name, 409, "organization_suspended")
        assert "Refill its wallet" in answer.text, name
    assert client.get("/api/paas/apps/shop").json()["app"]["status"] == "suspended"
