"""Routes as a cluster's ingress nodes get them, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from skypanel.db import Database
from skypanel.db.changes import Changes
from skypanel.drivers.router.port import Backend, Page, Route, RouterFailed
from skypanel.jobs.leader import Leadership, leads
from skypanel.kit.clock import SystemClock
from skypanel.kit.ids import new_id
from skypanel.routing.follow import Asked, left, news, seen
from skypanel.routing.published import PublishedRouter, read, write

CLOCK = SystemClock()


def route(key: str | None = None, *backends: str) -> Route:
    return Route(
        key or new_id(), "shop", ("shop.example",), tuple(Backend(address, 5000) for address in backends),
        page=None if backends else Page.STOPPED, network="abcd1234-org-1",
    )  # fmt: skip


@pytest.fixture
def router(database: Database) -> PublishedRouter:
    changes = Changes()
    changes.announce_for(database)
    return PublishedRouter(database, CLOCK, changes)


def asks(database: Database, name: str, loaded: int) -> None:
    with database.transaction() as session:
        seen(session, Asked(name, "10.0.0.9", 8001, 80, loaded), CLOCK.now())


def told(database: Database, loaded: int) -> tuple[int, bool, dict[str, str | None]] | None:
    with database.reading() as session:
        found = news(session, loaded)
    return None if found is None else (found.revision, found.whole, dict(found.routes))


def test_a_route_comes_back_as_it_was_written() -> None:
    for one in (route(None, "10.0.0.1", "10.0.0.2"), route()):
        assert read(write(one)) == one


def test_a_node_gets_everything_once_and_then_what_changed(database: Database, router: PublishedRouter) -> None:
    first, second = route(None, "10.0.0.1"), route(None, "10.0.0.2")
    router.put(first)
    router.put(second)
    whole = told(database, 0)
    assert whole is not None
    revision, is_whole, routes = whole
    assert is_whole
    assert set(routes) == {first.key, second.key}
    assert told(database, revision) is None
    moved = replace(first, backends=(Backend("10.0.0.3", 5000),))
    router.put(moved)
    router.put(moved)  # the same again is no change
    assert told(database, revision) == (revision + 1, False, {first.key: write(moved)})
    router.remove(second.key)
    assert told(database, revision + 1) == (revision + 2, False, {second.key: None})
    assert set(router.routes()) == {first.key}


def test_a_node_that_is_ahead_of_a_restored_database_gets_everything(
    database: Database, router: PublishedRouter
) -> None:
    one = route(None, "10.0.0.1")
    router.put(one)
    assert told(database, 99) == (2, True, {one.key: write(one)})


def test_without_any_route_a_node_is_told_so_once(database: Database) -> None:
    assert told(database, 0) == (1, True, {})
    assert told(database, 1) is None


def test_a_route_is_in_force_when_every_living_node_says_so(database: Database, router: PublishedRouter) -> None:
    one = route(None, "10.0.0.1")
    router.put(one)
    assert not router.confirm(one, timeout_s=0.0), "nobody serves"
    asks(database, "m1", 2)
    asks(database, "m2", 1)
    assert not router.confirm(one, timeout_s=0.0)
    threading.Timer(0.1, asks, (database, "m2", 2)).start()
    assert router.confirm(one, timeout_s=10)
    assert not router.confirm(replace(one, name="other"), timeout_s=0.0)


def test_a_node_that_hung_up_or_is_silent_is_not_waited_for(database: Database, router: PublishedRouter) -> None:
    one = route(None, "10.0.0.1")
    router.put(one)
    asks(database, "m1", 2)
    asks(database, "m2", 1)
    with database.transaction() as session:
        left(session, "m2", CLOCK.now())
    assert router.confirm(one, timeout_s=0.0)
    with database.transaction() as session:
        seen(session, Asked("m1", "10.0.0.9", 8001, 80, 2), CLOCK.now() - timedelta(minutes=1))
    assert not router.ready()


def test_what_could_not_be_written_into_a_file_is_not_published(router: PublishedRouter) -> None:
    with pytest.raises(RouterFailed):
        router.put(replace(route(None, "10.0.0.1"), hosts=("a`b",)))
    assert router.routes() == {}


def test_one_worker_leads_until_its_lease_is_over(database: Database) -> None:
    first = Leadership(database, name="worker", holder="one", lease_s=0.6)
    second = Leadership(database, name="worker", holder="two", lease_s=0.6)
    thread = threading.Thread(target=first.run)
    thread.start()
    other = threading.Thread(target=second.run)
    try:
        # Its margin is longer than this lease: so what is looked at is who has it in the database.
        for _ in range(100):
            with database.reading() as session:
                if leads(session, "worker"):
                    break
            threading.Event().wait(0.05)
        other.start()
        threading.Event().wait(1.5)
        assert not second._gained.is_set(), "the first keeps it"
        first.stop()
        assert second._gained.wait(5), "it is given back"
    finally:
        first.stop()
        second.stop()
        thread.join()
        if other.ident is not None:
            other.join()
    with database.reading() as session:
        assert not leads(session, "worker")
