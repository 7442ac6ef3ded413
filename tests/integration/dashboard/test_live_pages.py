"""A page's event stream: what is committed anywhere shows up, nothing else is sent, and it ends when it has to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa
from asgi_server import serving
from money_world import hours_pass, running, set_balance

from skypanel.accounts.models import UserSession
from skypanel.api.app import create_api
from skypanel.apps.models import App
from skypanel.dashboard import live
from skypanel.dashboard.routes import dashboard_router
from skypanel.deployments.models import Replica

if TYPE_CHECKING:
    from conftest import Browser

OWNER = "owner@acme.example"
Event = tuple[str, Any, str | None]


@pytest.fixture
def people(world: Any, browser: Callable[[], Browser]) -> Iterator[Callable[[str], httpx.Client]]:
    """`people(email)`: a signed-in client of a real server."""
    world.services.changes.announce_for(world.database)
    clients: list[httpx.Client] = []
    with serving(create_api(world.services, extra_routers=[dashboard_router()])) as url:

        def sign_in(email: str) -> httpx.Client:
            someone = browser()
            someone.sign_in(email)
            cookies = {"skypanel_session": someone.client.cookies["skypanel_session"]}
            clients.append(httpx.Client(base_url=url, cookies=cookies, timeout=10))
            return clients[-1]

        yield sign_in
        for client in clients:
            client.close()


@contextmanager
def stream(client: httpx.Client, path: str) -> Iterator[Iterator[Event]]:
    with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[Event]:
    name, data, identifier = "", "", None
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data = value
        elif field == "id":
            identifier = value
        elif line == "" and name:
            yield name, json.loads(data), identifier
            name, data, identifier = "", "", None


def regions(event: Event) -> dict[str, str]:
    assert event[0] == "regions"
    return {region["id"]: region["html"] for region in event[1]}


def change(world: Any, edit: Callable[[Any], None]) -> None:
    with world.database.transaction() as session:
        edit(session)


def test_a_commit_shows_up_in_the_regions_that_show_it(world: Any, people: Callable[[str], httpx.Client]) -> None:
    app_id = world.app()
    world.release(app_id)
    client = people(OWNER)
    shown = dict(re.findall(r'<div id="([^"]+)" data-live="([0-9a-f]+)">', client.get("/apps/shop").text))
    with stream(client, "/apps/shop") as seen:
        first = next(seen)
        assert {region["id"]: region["mark"] for region in first[1]} == shown, "the page itself shows the same"

        def dies(session: Any) -> None:
            replica = session.scalars(sa.select(Replica).where(Replica.app_id == app_id)).one()
            replica.state, replica.last_failure = "backoff", "it ended with exit code 1"

        change(world, dies)
        changed = regions(next(seen))
        assert "it ended with exit code 1" in changed["app-serving"]
        assert "it ended with exit code 1" in changed["app-health"]
        assert "app-latest" not in changed
        world.release(app_id, version=2)
        assert "version 2" in regions(next(seen))["app-head"]


def test_a_charge_shows_up_around_every_page(world: Any, people: Callable[[str], httpx.Client]) -> None:
    running(world, "Theirs", organization="rival")
    running(world)
    client = people(OWNER)
    with stream(client, "/apps/shop/logs") as page, stream(client, "/wallet") as wallet:
        assert "1000.00 USD" in regions(next(page))["rail-wallet"]
        assert "1000.00 USD" in regions(next(wallet))["wallet-figures"]
        hours_pass(world, 1)
        assert list(regions(next(page))) == ["rail-wallet"], "nothing else of the page is different"
        changed = regions(next(wallet))
        assert "999.9931 USD" in changed["wallet-figures"]
        assert "999.9931" in changed["wallet-transactions"]
        set_balance(world, "0.10")
        assert "14 hours of funds left" in regions(next(page))["wallet-banner"]


def test_the_list_follows_its_organization_and_no_other(world: Any, people: Callable[[str], httpx.Client]) -> None:
    client = people(OWNER)
    with stream(client, "/apps") as seen:
        assert "No application yet" in regions(next(seen))["apps"]
        theirs = world.app("Theirs", organization="rival")
        world.app("Ours")
        ours = regions(next(seen))["apps"]
        assert "Ours" in ours
        assert "Theirs" not in ours
        change(world, lambda session: setattr(session.get_one(App, theirs), "name", "Renamed"))
        world.app("Second")
        assert "Second" in regions(next(seen))["apps"], "the other organization's change sent nothing in between"


@pytest.mark.parametrize("cause", ["deleted", "signed out", "no member any more"])
def test_a_page_that_may_not_be_seen_any_more_says_so_and_ends(
    world: Any, people: Callable[[str], httpx.Client], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RECHECK_S", 0.3)
    app_id = world.app()
    world.release(app_id)
    client = people(OWNER)
    with stream(client, "/apps/shop") as seen:
        next(seen)
        if cause == "deleted":
            change(world, lambda session: setattr(session.get_one(App, app_id), "deleted_at", world.now))
        elif cause == "signed out":
            change(world, lambda session: session.execute(sa.delete(UserSession)))
        else:
            change(world, lambda session: session.execute(sa.text("DELETE FROM memberships")))
        assert next(seen)[0] == "gone"
        assert list(seen) == []


def test_a_stream_of_anothers_page_is_not_given(world: Any, people: Callable[[str], httpx.Client]) -> None:
    world.app()
    answer = people("owner@rival.example").get("/apps/shop", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 404


def test_a_fault_ends_the_stream_so_that_the_browser_connects_again(
    world: Any, people: Callable[[str], httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app()
    client = people(OWNER)
    with stream(client, "/apps") as seen:
        next(seen)
        monkeypatch.setattr(live, "render", lambda *_, **__: 1 / 0)
        world.app("Second")
        with pytest.raises(httpx.RemoteProtocolError):
            list(seen)


def test_who_leaves_is_followed_no_more(world: Any, people: Callable[[str], httpx.Client]) -> None:
    changes = world.services.changes
    client = people(OWNER)
    with stream(client, "/apps") as seen:
        next(seen)
        assert len(changes._subscriptions) == 1
    client.close()
    world.app()  # the next thing to send meets a closed connection
    for _ in range(100):
        if not changes._subscriptions:
            break
        httpx.get(str(client.base_url) + "/healthz")
    assert not changes._subscriptions
