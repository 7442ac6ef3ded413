"""The log routes over a real server: what is written by one store is read through another, as worker and server do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_server import serving

from skypanel.accounts.passwords import Passwords
from skypanel.accounts.policy import AuthPolicy
from skypanel.api import log_stream
from skypanel.api.app import create_api
from skypanel.apps.vault import Vault, new_key
from skypanel.db import Database
from skypanel.deployments.models import Deployment, Run
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Entry
from skypanel.http.context import Services
from skypanel.kit.clock import FakeClock
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret
from skypanel.orgs.plans import seed_plans


@dataclass
class Site:
    url: str
    database: Database
    worker: EmbeddedLogStore
    server: EmbeddedLogStore
    client: httpx.Client
    app: str
    organization: str
    watched: Callable[[], int]

    def log(self, *messages: str, stream: str = "", at: int = 1, **fields: str) -> None:
        given = {"source": "app", "replica": "web.1", "level": "info", **fields}
        stream = stream or f"app:{self.app}"
        self.worker.append(stream, [Entry(at * 10**9, message=message, **given) for message in messages])

    def path(self, rest: str) -> str:
        return f"/api/paas/apps/{self.app}/{rest}"

    def deployment(self, version: int, status: str = "building", **fields: Any) -> str:
        row = Deployment(
            id=new_id(), app_id=self.app, organization_id=self.organization, version=version, kind="deploy",
            status=status, created_at=FakeClock().now(), **fields,
        )  # fmt: skip
        with self.database.transaction() as session:
            session.add(row)
        return row.id


@pytest.fixture
def site(tmp_path: Path, each_database: Database) -> Iterator[Site]:
    database = each_database
    with database.transaction() as session:
        seed_plans(session, now=FakeClock().now())
    worker, server = EmbeddedLogStore(tmp_path / "logs", segment_bytes=5000), EmbeddedLogStore(tmp_path / "logs")
    services = Services(
        database=database, clock=FakeClock(), vault=Vault([new_key()]),
        auth=AuthPolicy(Secret("k" * 40), Passwords(memory_kib=8, passes=1)), logs=server,
        check_git_url=lambda _url: None, app_url=lambda slug: f"http://{slug}.apps.localhost",
        signup_credit_micro=1_000_000_000,
    )  # fmt: skip
    with serving(create_api(services)) as url, httpx.Client(base_url=url, timeout=20) as client:
        signed_in = register(client, "ann@acme.example", "Acme")
        client.headers["Authorization"] = f"Bearer {signed_in['token']}"
        made = client.post("/api/paas/apps", json={"name": "Shop", "git_url": "https://git.example.com/shop.git"})
        yield Site(
            url, database, worker, server, client, made.json()["app"]["id"], signed_in["organizations"][0]["id"],
            lambda: len(server._watcher._wakes),
        )  # fmt: skip
    worker.close()
    server.close()


def register(client: httpx.Client, email: str, organization: str) -> dict[str, Any]:
    body = {"email": email, "password": "correct horse battery", "name": "Ann", "organization": organization}
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    content: dict[str, Any] = answer.json()
    return content


Event = tuple[str, str, Any]  # name, id, data


def events(site: Site, path: str, last_id: str = "", **params: Any) -> Iterator[Event]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with site.client.stream("GET", site.path(path), params=params, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        name, identifier, data = "", "", None
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                identifier = value
            elif key == "data":
                data = json.loads(value)
            elif not line and name:
                yield name, identifier, data
                name = ""


def take(found: Iterator[Event], count: int) -> list[Event]:
    taken = [next(found) for _ in range(count)]
    found.close()  # type: ignore[attr-defined]
    return taken


def texts(found: list[Event]) -> list[str]:
    return [data["message"] for _name, _id, data in found]


def test_history_pages_back_in_time(site: Site) -> None:
    site.log(*[f"line {number}" for number in range(7)])
    page = site.client.get(site.path("logs"), params={"limit": 3}).json()
    assert [line["message"] for line in page["items"]] == ["line 4", "line 5", "line 6"]
    assert page["items"][0] == {
        "ts": "1970-01-01T00:00:01.000000000Z", "source": "app", "replica": "web.1", "level": "info",
        "message": "line 4",
        "cursor": page["next_cursor"],
    }  # fmt: skip
    page = site.client.get(site.path("logs"), params={"limit": 4, "cursor": page["next_cursor"]}).json()
    assert [line["message"] for line in page["items"]] == ["line 0", "line 1", "line 2", "line 3"]
    assert page["next_cursor"] is None


def test_filters_may_be_repeated_or_listed(site: Site) -> None:
    site.log("a", level="error")
    site.log("b", level="warn", source="router", replica="router")
    site.log("c", at=100)

    def found(*params: tuple[str, str]) -> list[str]:
        answer = site.client.get(site.path("logs"), params=list(params))
        assert answer.status_code == 200, answer.text
        return [line["message"] for line in answer.json()["items"]]

    assert found(("level", "error,warn")) == found(("level", "error"), ("level", "warn")) == ["a", "b"]
    assert found(("source", "router")) == found(("replica", "router")) == ["b"]
    assert found(("since", "1970-01-01T00:01:00Z")) == found(("search", "C")) == ["c"]
    assert found(("until", "1970-01-01T01:01:00+01:00")) == ["a", "b"]


def test_what_cannot_be_asked_is_said(site: Site) -> None:
    wrong: list[dict[str, Any]] = [
        {"source": "nginx"}, {"level": "loud"}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"},
        {"cursor": "x"}, {"limit": 0}, {"limit": 5000},
    ]  # fmt: skip
    for params in wrong:
        answer = site.client.get(site.path("logs"), params=params)
        assert answer.status_code == 422, params
        assert answer.json()["errors"], params


def test_a_stream_begins_with_the_last_lines_and_goes_on(site: Site) -> None:
    site.log(*[f"old {number}" for number in range(5)])
    found = events(site, "logs/stream", tail=2)
    assert texts([next(found), next(found)]) == ["old 3", "old 4"]
    site.log("new", "<script>\r\ndata: forged", level="error")
    assert texts(take(found, 3)) == ["new", "<script>\r", "data: forged"]


def test_last_event_id_resumes_without_loss_or_repeat_under_writes(site: Site) -> None:
    def write() -> None:
        for number in range(600):
            site.log(f"line {number}")

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[Event] = []
    last_id = "0" * 20
    while len(seen) < 600:
        seen += take(events(site, "logs/stream", last_id), min(50, 600 - len(seen)))
        last_id = seen[-1][1]
    writer.join()
    assert texts(seen) == [f"line {number}" for number in range(600)]
    assert all(identifier == data["cursor"] for _name, identifier, data in seen)


def test_a_client_that_leaves_frees_what_it_held(site: Site) -> None:
    site.log("x")
    streams = [events(site, "logs/stream") for _ in range(5)]
    for stream in streams:
        next(stream)
    assert site.watched() == 1
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while site.watched() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.watched() == 0


def test_heartbeats_keep_a_quiet_stream_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "HEARTBEAT_S", 0.1)
    with site.client.stream("GET", site.path("logs/stream")) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        assert any(line == ": alive" for line in lines)


def test_signing_out_ends_the_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "RECHECK_S", 0.1)
    site.log("x")
    found = events(site, "logs/stream")
    next(found)
    assert httpx.post(f"{site.url}/api/auth/logout", headers=dict(site.client.headers)).is_success
    assert list(found) == []


def test_a_deployments_log_is_read_from_its_start_and_ends_with_it(site: Site) -> None:
    deployment = site.deployment(1)
    found = events(site, "deployments/1/logs/stream")
    site.log("one", "two", stream=f"build:{deployment}", source="build", replica="build")
    assert texts([next(found), next(found)]) == ["one", "two"]
    with site.database.transaction() as session:
        row = session.get_one(Deployment, deployment)
        row.status, row.reason = "failed", "It did not build."
    site.log("three", stream=f"build:{deployment}", source="build", replica="build")
    _name, identifier, data = next(found)
    assert data["message"] == "three"
    assert [(name, data) for name, _id, data in found] == [("end", {"status": "failed", "reason": "It did not build."})]
    again = list(events(site, "deployments/1/logs/stream", identifier))
    assert [name for name, _id, _data in again] == ["end"]


def test_a_rollback_shows_the_build_log_it_inherits(site: Site) -> None:
    built = site.deployment(1, "superseded")
    back = site.deployment(2, "running", build_log_of=built)
    site.log("built 1", "built 2", "built 3", stream=f"build:{built}")
    site.log("back 1", "back 2", stream=f"build:{back}")
    whole = ["built 1", "built 2", "built 3", "back 1", "back 2"]
    found: list[str] = []
    cursor = None
    for _ in range(4):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = site.client.get(site.path("deployments/2/logs"), params=params).json()
        found += [line["message"] for line in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == whole
    streamed = list(events(site, "deployments/2/logs/stream"))
    assert texts(streamed[:-1]) == whole
    assert streamed[-1][0] == "end"
    for place in range(5):
        resumed = list(events(site, "deployments/2/logs/stream", streamed[place][1]))
        assert texts(resumed[:-1]) == whole[place + 1 :]
        if place % 2:
            break
    assert site.client.get(site.path("deployments/2/logs"), params={"cursor": "7." + "0" * 20}).status_code == 422


def test_a_runs_stream_ends_with_its_exit_code(site: Site) -> None:
    deployment = site.deployment(1, "running")
    now = FakeClock().now()
    run = Run(id=new_id(), app_id=site.app, deployment_id=deployment, command="true", status="exited", exit_code=3,
              created_at=now, finished_at=now)  # fmt: skip
    with site.database.transaction() as session:
        session.add(run)
    site.log("output", stream=f"run:{run.id}", replica="run.1")
    found = list(events(site, f"runs/{run.id}/logs/stream"))
    assert texts(found[:1]) == ["output"]
    assert found[1][::2] == ("end", {"status": "exited", "exit_code": 3, "reason": None})
    page = site.client.get(site.path(f"runs/{run.id}/logs")).json()
    assert [line["message"] for line in page["items"]] == ["output"]


def test_another_organizations_logs_are_not_there(site: Site) -> None:
    site.deployment(1)
    with httpx.Client(base_url=site.url) as rival:
        token = register(rival, "eve@rival.example", "Rival")["token"]
        for path in ("logs", "logs/stream", "deployments/1/logs", "deployments/1/logs/stream", f"runs/{new_id()}/logs"):
            answer = rival.get(site.path(path), headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 404
            assert rival.get(site.path(path)).status_code == 401
