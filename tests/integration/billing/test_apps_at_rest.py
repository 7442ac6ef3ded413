"""Applications of an organization that is suspended and resumed, with the real job engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from billing_world import ROOT
from memory_site import Site, started

from skypanel.apps.models import App, Wanted
from skypanel.billing.credit import enter
from skypanel.billing.ledger import Entry, post, state_of
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import (
    ADMIN,
    after_charge,
    resume,
    suspend,
)
from skypanel.db import Database
from skypanel.deployments.ask_release import app_key
from skypanel.deployments.reconcile import Findings
from skypanel.drivers.router.port import Page, Route
from skypanel.jobs import enqueue, request_cancel
from skypanel.manage.migrate import load_models
from skypanel.orgs.models import Organization, OrganizationStatus

HOUR = timedelta(hours=1)
HOBBY = 6_900


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    url = f"sqlite:///{tmp_path / 'site.db'}"
    with closing(Database(url)) as database:
        load_models().create_all(database.engine)
    with started(url, tmp_path / "site", monkeypatch) as site:
        yield site


def test_an_app_that_runs_dry_stops_answering_and_comes_back_as_it_was(site: Site) -> None:
    app_id = site.app(formation=2)
    site.done("deploy", app_id)
    site.true(app_id, status="running", web=2)
    now = datetime.now(UTC)
    with site.platform.database.transaction() as session:
        organization = session.get_one(Organization, site.read(app_id).organization_id)
        post(
            session, Entry(organization.id, JournalKind.USAGE, -1, "k", "an hour", "platform"), currency="USD", now=now
        )
        after_charge(session, [organization.id], currency="USD", now=now)
    site.quiet()
    site.reconciled()
    assert site.router.leads_to("shop.apps.example") == Page.SUSPENDED
    assert (site.replicas(app_id), site.runtime.list()) == ([], ())
    assert site.read(app_id).status == "suspended"
    assert all(end is not None for stretches in site.metered(app_id).values() for _, end in stretches)
    with site.platform.database.transaction() as session:
        organization = session.get_one(Organization, site.read(app_id).organization_id)
        enter(
            session, organization, kind=JournalKind.CREDIT, amount_micro=10**7, reason="a refill", by=ROOT, now=now,
            currency="USD",
        )  # fmt: skip
        assert state_of(session, organization.id).suspended_for is None
    site.quiet()
    site.true(app_id, status="running", web=2)


def set_suspended(site: Site, suspended: bool) -> None:
    with site.platform.database.transaction() as session:
        organization = session.scalars(sa.select(Organization)).one()
        if suspended:
            suspend(session, organization, ADMIN, by=ROOT, now=site.clock.now())
        else:
            organization.billed = False  # so that nothing but the admin's word is missing
            resume(session, organization, by=ROOT, now=site.clock.now(), currency="USD", as_admin=True)


def test_an_app_that_was_never_deployed_shows_no_visitor_that_it_was_suspended(site: Site) -> None:
    app_id = site.app()
    set_suspended(site, True)
    site.quiet()
    assert (site.read(app_id).status, site.router.leads_to("shop.apps.example")) == ("suspended", Page.SUSPENDED)
    set_suspended(site, False)
    site.quiet()
    assert (site.read(app_id).status, site.router.leads_to("shop.apps.example")) == ("created", None)
    assert site.reconciled() == Findings(0, 0)
    site.done("deploy", app_id)
    site.true(app_id, status="running")


def test_a_page_that_was_left_behind_is_taken_away(site: Site) -> None:
    app_id = site.app()
    site.router.put(Route(app_id, "shop", ("shop.apps.example",), (), page=Page.SUSPENDED))
    assert site.reconciled() == Findings(0, 1)
    assert site.router.leads_to("shop.apps.example") is None


@contextmanager
def key_taken(site: Site, app_id: str) -> Iterator[None]:
    """Meanwhile its jobs have to wait; then they are done."""
    with site.platform.database.transaction() as session:
        busy = enqueue(session, kind="app.stop", queue="elsewhere", key=app_key(app_id), args={"app_id": app_id})
    yield
    with site.platform.database.transaction() as session:
        assert request_cancel(session, busy or "")
    site.quiet()


def test_a_resume_that_overtakes_the_stop_leaves_nothing_stopped(site: Site) -> None:
    app_id = site.app()
    with key_taken(site, app_id):
        set_suspended(site, True)
        set_suspended(site, False)
    app = site.read(app_id)
    assert (app.wanted, app.status, site.router.leads_to("shop.apps.example")) == ("running", "created", None)


def test_a_first_deployment_that_was_too_far_to_be_cancelled_runs_after_the_resume(site: Site) -> None:
    app_id = site.app()
    deployment = site.done("deploy", app_id)

    def serves(deployment_id: str | None) -> None:
        with site.platform.database.transaction() as session:
            session.get_one(App, app_id).current_deployment_id = deployment_id

    with key_taken(site, app_id):
        serves(None)  # as while its switch is under way
        set_suspended(site, True)
        set_suspended(site, False)
        serves(deployment.id)
    site.true(app_id, status="running")


def test_what_had_failed_before_it_was_suspended_has_failed_when_it_comes_back(site: Site) -> None:
    app_id = site.app(files={"Procfile": "web: crash\n"})
    assert site.done("deploy", app_id).status == "failed"
    failed = site.read(app_id)
    set_suspended(site, True)
    site.quiet()
    set_suspended(site, False)
    site.quiet()
    app = site.read(app_id)
    assert (app.status, app.status_reason) == ("failed", failed.status_reason)
    assert site.router.leads_to("shop.apps.example") == Page.CRASHED


@pytest.fixture
def stopped(site: Site) -> str:
    """An app with a release that its owner has stopped."""
    app_id = site.app()
    site.done("deploy", app_id)
    site.done("stop", app_id)
    return app_id


def suspend_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the moment in which the next route is waited for."""
    confirm = site.router.confirm

    def confirming(route: Route, **given: float) -> bool:
        monkeypatch.setattr(site.router, "confirm", confirm)
        set_suspended(site, True)
        return confirm(route, **given)

    monkeypatch.setattr(site.router, "confirm", confirming)


def test_a_stopped_app_whose_deployment_ends_after_the_suspension_rests(
    site: Site, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspend_while(site, monkeypatch)
    site.done("deploy", stopped)
    app = site.read(stopped)
    assert (app.wanted, app.status, app.current_version) == ("suspended", "suspended", 2)
    assert (site.replicas(stopped), site.runtime.list()) == ([], ())
    assert site.router.leads_to("shop.apps.example") == Page.SUSPENDED
    set_suspended(site, False)
    site.quiet()
    site.true(stopped, status="running")


def test_a_restart_whose_turn_comes_after_the_suspension_starts_nothing(site: Site, stopped: str) -> None:
    with key_taken(site, stopped):
        site.ask("restart", stopped)
        with site.platform.database.transaction() as session:
            session.get_one(App, stopped).wanted = Wanted.STOPPED  # the stop before it has its turn
        set_suspended(site, True)
    assert (site.read(stopped).wanted, site.runtime.list()) == ("suspended", ())
    set_suspended(site, False)
    site.quiet()
    site.true(stopped, status="running")


def test_one_off_commands_of_a_suspended_organization_end(site: Site) -> None:
    app_id = site.app()
    site.done("deploy", app_id)
    runs = [site.ask("run", app_id, command="idle").id for _ in range(2)]
    site.eventually(lambda: [site.run(each).status for each in runs] == ["running", "running"])
    set_suspended(site, True)
    site.quiet()
    assert [(site.run(each).status, site.run(each).reason) for each in runs] == [
        ("cancelled", "The organization is suspended.")
    ] * 2
    assert site.runtime.list() == ()


def test_a_one_off_command_does_not_begin_in_a_suspended_organization(site: Site) -> None:
    """One that was asked for in the moment of the suspension, which had not seen it."""
    app_id = site.app()
    site.done("deploy", app_id)
    with site.platform.database.transaction() as session:
        session.scalars(sa.select(Organization)).one().status = OrganizationStatus.SUSPENDED
    run = site.run(site.done("run", app_id, command="passes").id)
    assert (run.status, run.reason, run.started_at) == ("cancelled", "The organization is suspended.", None)
