"""The platform's process dies at every one of its moments, one after the other, in the middle of every verb."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import sqlalchemy as sa
from memory_site import Site

from skypanel.deployments.models import Run

MOST_MOMENTS = 150


@dataclass(frozen=True)
class Verb:
    """`ask` asks for it (round after round on one app); `check` says what must be true once it is over."""

    ask: Callable[[Site, str], object]
    web: tuple[int, ...] = (1,)  # wanted afterwards, round by round
    status: str = "running"
    before: Callable[[Site, str], object] = lambda site, app: None


def _last_but_one(site: Site, app_id: str) -> int:
    return site.read(app_id).current_version or 0


VERBS = {
    "deploy": Verb(lambda site, app: site.ask("deploy", app)),
    "rollback": Verb(lambda site, app: site.ask("rollback", app, version=_last_but_one(site, app), restore_env=True)),
    "env": Verb(lambda site, app: site.ask("env_deployment", app)),
    "restart": Verb(lambda site, app: site.ask("restart", app)),
    "scale up and down": Verb(
        lambda site, app: site.ask("scale", app, replicas=1 if site.read(app).formation["web"] == 3 else 3), web=(3, 1)
    ),
    "stop": Verb(
        lambda site, app: site.ask("stop", app),
        web=(0,),
        status="stopped",
        before=lambda site, app: site.read(app).wanted == "running" or site.done("restart", app),
    ),
    "start again": Verb(
        lambda site, app: site.ask("restart", app), before=lambda site, app: site.done("stop", app)
    ),
    "deploy a stopped app": Verb(
        lambda site, app: site.ask("deploy", app), before=lambda site, app: site.done("stop", app)
    ),
}  # fmt: skip


def die_at(site: Site, number: int, ask: Callable[[], object]) -> str | None:
    """Asks, dies at that moment and lets another process follow; the moment's name, None when it was over before."""
    site.life.arm(number)
    ask()
    site.quiet()
    if site.life.outlived():
        return None
    moment = site.life.moments[-1]
    site.start()
    site.quiet()
    return moment


def moments(every: int) -> Iterator[tuple[int, int]]:
    """(round, moment). All of them when asked for; else a part of them, so that the suite stays short."""
    yield from enumerate(range(1, MOST_MOMENTS, 1 if os.environ.get("SKYPANEL_TEST_EVERY_MOMENT") else every))


def _every_moment(site: Site, app_id: str, verb: Verb, *, every: int) -> int:
    for turn, number in moments(every):
        verb.before(site, app_id)
        moment = die_at(site, number, lambda: verb.ask(site, app_id))
        site.reconciled()
        web = verb.web[turn % len(verb.web)]
        try:
            site.true(app_id, status=verb.status, web=web, worker=0 if verb.status == "stopped" else 1)
        except AssertionError as error:
            raise AssertionError(f"after a death at moment {number}, {moment}: {error}") from error
        if moment is None:
            return number - 1
    raise AssertionError(f"more than {MOST_MOMENTS} moments")


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whatever_was_asked_is_done_when_the_process_dies_at_any_moment(site: Site, shop: str, name: str) -> None:
    assert _every_moment(site, shop, VERBS[name], every=1 if name == "deploy" else 3) > 4


@pytest.mark.parametrize("name", ["deploy", "scale up and down"])
@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_the_same_on_postgresql(site: Site, shop: str, name: str) -> None:
    assert _every_moment(site, shop, VERBS[name], every=7) > 4


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_deleted_app_is_gone_when_the_process_dies_at_any_moment(site: Site) -> None:
    for _, number in moments(2):
        app_id = site.app()
        site.done("deploy", app_id)
        moment = die_at(site, number, partial(site.ask, "delete", app_id))
        site.reconciled()
        app = site.read(app_id)
        assert app.slug.startswith("deleted/"), moment
        assert (site.replicas(app_id), site.router.by_key, site.runtime.list()) == ([], {}, ())
        if moment is None:
            return
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_one_off_command_begins_at_most_once_when_the_process_dies_at_any_moment(site: Site, shop: str) -> None:
    for _, number in moments(1):
        moment = die_at(site, number, lambda: site.ask("run", shop, command="passes"))
        site.reconciled()
        run = site.rows(sa.select(Run).order_by(Run.created_at))[-1]
        printed = site.printed(run.id)
        assert printed.count("passes ends") <= 1, moment
        assert run.status in ("exited", "failed"), moment
        assert run.status == "exited" or "start it again" in run.reason, (moment, run.reason)
        site.true(shop, status="running")
        if moment is None:
            assert (run.status, printed) == ("exited", ["passes ends"])
            return
    raise AssertionError("it never came to an end")


FAILS = {
    "fetch": lambda site, app: site.source.unreachable.add("https://git.example.org/shop.git"),
    "build": lambda site, app: site.commit("shop", {"Procfile": "nonsense"}),
    "release": lambda site, app: site.commit("shop", {"Procfile": "release: fails\nweb: serve\nworker: work\n"}),
    "start": lambda site, app: setattr(site.runtime, "fail_start", "no room"),
    "check": lambda site, app: site.commit("shop", {"Procfile": "web: crash\nworker: work\n"}),
    "switch": lambda site, app: setattr(site.router, "confirms", False),
}


@pytest.mark.parametrize("stage", FAILS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_failing_deployment_fails_when_the_process_dies_at_any_moment(site: Site, shop: str, stage: str) -> None:
    for _, number in moments(5):
        FAILS[stage](site, shop)
        moment = die_at(site, number, lambda: site.ask("deploy", shop))
        site.source.unreachable.clear()
        site.runtime.fail_start, site.router.confirms = None, True
        site.reconciled()
        app = site.read(shop)
        assert app.current_version == 1, moment
        try:
            site.true(shop, status="running")
        except AssertionError as error:
            raise AssertionError(f"after a death at moment {number}, {moment}: {error}") from error
        if moment is None:
            return
    raise AssertionError("it never came to an end")
