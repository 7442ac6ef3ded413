"""What is paid for of real deployments, on drivers in memory: from healthy and current until told to leave or dead.

Besides, `Site.true` asks after every verb, failure and death of the platform that no slot is paid for twice at a time
and that all that serves is (`Site.metered`)."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from memory_site import Site

from skypanel.deployments.models import Deployment, Replica
from skypanel.deployments.reconcile import exited

GAP = timedelta(seconds=1)
WEB = "web.1"


def gaps(stretches: list[tuple[datetime, datetime | None]]) -> list[timedelta]:
    return [begin - end for (_, end), (begin, _) in itertools.pairwise(stretches) if end is not None]


def test_a_first_deployment_pays_from_when_it_is_live(site: Site) -> None:
    app_id = site.app()
    deployment = site.done("deploy", app_id)
    metered = site.metered(app_id)
    assert metered == {WEB: [(deployment.finished_at, None)], "worker.1": [(deployment.finished_at, None)]}


@pytest.mark.parametrize("what", ["release", "check", "switch"])
def test_a_failed_deployment_pays_nothing(site: Site, what: str) -> None:
    app_id = site.app()
    if what == "switch":
        site.router.confirms = False  # healthy already, and no visitor ever came through
    else:
        site.commit("shop", {"Procfile": {"release": "web: serve\nrelease: fails\n", "check": "web: crash\n"}[what]})
    assert site.done("deploy", app_id).status == "failed"
    site.router.confirms = True
    site.reconciled()
    assert site.metered(app_id) == {}


def test_a_failed_deployment_leaves_the_old_one_paid_for_alone(site: Site, shop: str) -> None:
    before = site.metered(shop)
    site.router.confirms = False
    assert site.done("deploy", shop).status == "failed"
    site.router.confirms = True
    site.reconciled()
    assert site.metered(shop) == before


@pytest.mark.parametrize("verb", ["deploy", "restart"])
def test_what_follows_begins_where_the_old_one_ends(site: Site, shop: str, verb: str) -> None:
    site.done(verb, shop)
    for stretches in site.metered(shop).values():
        assert len(stretches) == 2
        assert timedelta(0) <= gaps(stretches)[0] <= GAP


def test_the_time_between_a_stop_and_a_start_is_free(site: Site, shop: str) -> None:
    site.done("stop", shop)
    stopped = site.clock.now()
    ((_, end),) = site.metered(shop)[WEB]
    assert end is not None and end <= stopped
    began = site.clock.now()
    site.done("restart", shop)
    _, (begin, _) = site.metered(shop)[WEB]
    assert begin >= began


def test_a_scale_pays_for_what_came_and_no_longer_for_what_went(site: Site, shop: str) -> None:
    site.done("scale", shop, replicas=3)
    metered = site.metered(shop)
    assert sorted(metered) == [WEB, "web.2", "web.3", "worker.1"]
    site.done("scale", shop, replicas=1)
    after = site.metered(shop)
    assert after[WEB] == metered[WEB]
    assert all(end is not None for slot in ("web.2", "web.3") for _, end in after[slot])


def test_a_crash_is_paid_for_until_the_runtime_saw_it(site: Site, shop: str) -> None:
    (web,) = [r for r in site.replicas(shop) if r.process_type == "web"]
    site.runtime.die(web.id)
    container = site.runtime.get(web.id)
    assert container is not None and container.finished_at is not None
    noticed = site.clock.now()
    exited(site.platform, [web.id])
    site.quiet()
    site.reconciled()
    (first, second) = site.metered(shop)[WEB]
    assert first[1] == container.finished_at
    assert container.finished_at <= noticed <= second[0]


def test_what_died_while_the_platform_was_away_is_paid_for_until_then(site: Site, shop: str) -> None:
    (web,) = [r for r in site.replicas(shop) if r.process_type == "web"]
    site.life.kill()
    site.runtime.die(web.id)
    died = site.clock.now()
    site.start()
    site.reconciled()
    (first, second) = site.metered(shop)[WEB]
    assert first[1] is not None and first[1] <= died <= second[0]
    site.true(shop, status="running")


def test_a_deleted_app_pays_until_it_was_deleted(site: Site, shop: str) -> None:
    site.done("delete", shop)
    deleted = site.read(shop).deleted_at
    assert deleted is not None
    assert all(end is not None for stretches in site.metered(shop).values() for _, end in stretches)


def test_a_platform_that_dies_between_finish_and_drain_pays_for_one_of_two(site: Site, shop: str) -> None:
    """The new one serves, the old one still runs, and nobody is there to end it."""
    for number in range(1, 200):
        site.life.arm(number)
        site.ask("deploy", shop)
        site.quiet()
        if site.life.outlived():
            raise AssertionError("it never died between finish and drain")
        database = site.process.platform.database
        with database.engine.connect() as connection:
            status = connection.execute(sa.select(Deployment.status, Deployment.version).order_by(
                Deployment.version.desc()).limit(1)).one()  # fmt: skip
            draining = connection.execute(sa.select(Replica.id).where(Replica.state == "draining")).all()
        if status[0] == "running" and draining:
            break
        site.start()
        site.quiet()
        site.reconciled()
    with database.engine.connect() as connection:
        query = sa.select(Replica.metered_from, Replica.metered_until).where(
            Replica.app_id == shop, Replica.process_type == "web", Replica.metered_from.is_not(None)
        )
        stretches = sorted((a, b) for a, b in connection.execute(query.order_by(Replica.metered_from)))
    assert gaps(stretches)[-1] == timedelta(0)
    site.start()
    site.quiet()
    site.reconciled()
    site.true(shop, status="running")
