"""What holds for every route: problems, paging, limits, headers, the organization one acts in, idempotency."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.testclient import TestClient

from skypanel.api.app import create_api
from skypanel.db import Session
from skypanel.errors import TooMany
from skypanel.http.route import api_router
from skypanel.http.session import WriteSession
from skypanel.http.viewer import CurrentUser, CurrentViewer
from skypanel.orgs.models import Organization

PROBLEM = "application/problem+json"


def _names(api) -> list[str]:
    with api.database.reading() as session:
        return list(session.scalars(sa.select(Organization.name).order_by(Organization.id)))


def test_an_unknown_route_is_a_problem(api):
    answer = api.client.get("/api/none/such")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    content = answer.json()
    assert content["code"] == "route_not_found"
    assert set(content) == {"type", "title", "status", "detail", "code"}


def test_a_browser_with_a_wrong_address_gets_a_page_and_a_program_json(api):
    page = api.client.get("/nowhere", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert api.client.get("/nowhere").headers["content-type"] == PROBLEM
    assert api.client.get("/api/nowhere", headers={"Accept": "text/html"}).headers["content-type"] == PROBLEM


def test_a_method_that_is_not_served_is_a_problem(api):
    answer = api.client.put("/api/auth/login")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", "POST")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b'{"email": 1}', "application/json"), (b"a=b", None),
     (b"email=a", "application/x-www-form-urlencoded"), (b"", "application/json"), (b"\xff\xfe", "application/json"),
     (b'{"email": "\\ud800", "password": "x"}', "application/json")],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_a_problem(api, content, kind):
    headers = {"Content-Type": kind} if kind else {}
    answer = api.client.post("/api/auth/login", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("size", [1_048_577, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_one_megabyte_is_refused(api, size, chunked):
    body = b'{"email": "' + b"a" * size
    pieces = (body[n : n + 65536] for n in range(0, len(body), 65536))
    answer = api.client.post(
        "/api/auth/login", content=pieces if chunked else body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["content-type"] == PROBLEM


def test_a_nul_in_an_address_is_refused(api):
    ada = api.register("ada@example.com", "Engines")
    assert ada.get("/api/organizations/a%00b").status_code == 400
    assert ada.get(f"{ada.home}/activity?verb=a%00").status_code == 400


def test_a_page_may_hold_two_hundred(api):
    ada = api.register("ada@example.com", "Engines")
    for limit, status in ((0, 422), (1, 200), (200, 200), (201, 422), ("many", 422)):
        assert ada.get("/api/auth/tokens", params={"limit": limit}).status_code == status, limit
    for cursor in ("nonsense", "bnVsbA", "WzEsMl0", "é", "W3sieCI6MX1d"):
        answer = ada.get("/api/auth/tokens", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), cursor


def test_answers_carry_the_security_headers(api):
    for path in ("/api/auth/me", "/healthz", "/api/none", "/api/openapi.json"):
        headers = api.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]


def _extra(router: APIRouter) -> None:
    @router.get("/boom")
    def boom() -> None:
        raise RuntimeError("the secret is hunter2")

    @router.get("/slow-down")
    def slow_down() -> None:
        raise TooMany("Wait.", retry_after_s=7)

    @router.post("/half")
    def half(session: WriteSession, user: CurrentUser, fail: bool = True) -> dict[str, str]:
        session.execute(sa.update(Organization).values(name="Changed"))
        if fail:
            raise RuntimeError("after the change")
        return {}

    @router.get("/where")
    def where(viewer: CurrentViewer) -> dict[str, str]:
        return {"organization_id": viewer.organization_id, "role": viewer.role}


@pytest.fixture
def probes(api):
    """The API with routes that do what no real one should."""
    router = api_router(prefix="/api/probe", tag="probe")
    _extra(router)
    with TestClient(create_api(api.services, extra_routers=[router]), raise_server_exceptions=False) as client:
        api.client = client
        yield api


def test_what_nobody_foresaw_says_nothing_of_its_cause(probes):
    answer = probes.client.get("/api/probe/boom")
    assert (answer.status_code, answer.headers["content-type"], answer.json()["code"]) == (500, PROBLEM, "internal")
    assert "hunter2" not in answer.text


def test_too_many_says_when_to_come_again(probes):
    answer = probes.client.get("/api/probe/slow-down")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_a_request_that_fails_changes_nothing(probes):
    ada = probes.register("ada@example.com", "Engines")
    assert ada.post("/api/probe/half").status_code == 500
    assert _names(probes) == ["Engines"]
    assert ada.post("/api/probe/half?fail=false").status_code == 200
    assert _names(probes) == ["Changed"]


class OfTheDriver(Exception):
    def __init__(self, **codes: object) -> None:
        super().__init__("a name that a tenant chose: database or disk is full")
        self.__dict__.update(codes)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (OfTheDriver(), "database_unavailable"),
        (OfTheDriver(sqlite_errorcode=sqlite3.SQLITE_BUSY), "database_unavailable"),
        (OfTheDriver(sqlite_errorcode=sqlite3.SQLITE_FULL), "disk_full"),
        (OfTheDriver(sqlstate="57P01"), "database_unavailable"),
        (OfTheDriver(sqlstate="53100"), "disk_full"),
    ],
)
def test_a_commit_that_fails_is_no_success(probes, monkeypatch, cause, code):
    ada = probes.register("ada@example.com", "Engines")

    def refuse(_self: Session) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, cause)

    monkeypatch.setattr(Session, "commit", refuse)
    monkeypatch.setattr("sqlalchemy.orm.session.SessionTransaction.commit", refuse)
    answer = ada.post("/api/probe/half?fail=false")
    assert (answer.status_code, answer.json()["code"]) == (503, code)


def test_the_organization_is_implied_only_when_there_is_one(probes):
    ada = probes.register("ada@example.com", "Engines")
    assert ada.get("/api/probe/where").json()["organization_id"] == ada.organization["id"]
    other = ada.post("/api/organizations", {"name": "Other"}).json()["organization"]
    answer = ada.get("/api/probe/where")
    assert (answer.status_code, answer.json()["code"]) == (422, "organization_required")
    for name in (other["id"], other["slug"]):
        found = ada.get("/api/probe/where", headers={"X-Organization-Id": name}).json()
        assert found == {"organization_id": other["id"], "role": "owner"}


def test_another_organization_in_the_header_is_not_found(probes):
    ada, eve = probes.register("ada@example.com", "Engines"), probes.register("eve@example.com", "Evil")
    for name in (ada.organization["id"], ada.organization["slug"], "none-such", ""):
        assert eve.get("/api/probe/where", headers={"X-Organization-Id": name}).status_code == 404


def test_the_routers_word_for_the_address_counts_and_nobody_elses(api):
    owner = api.register("owner@example.com", "Engines")
    app = create_api(api.services)
    for peer, forwarded, seen in (
        ("127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("198.51.100.1", "1.2.3.4", "198.51.100.1"),
    ):
        with TestClient(app, client=(peer, 1)) as owner.client:
            owner.post(f"{owner.home}/invitations", {"email": "x@example.com"}, headers={"X-Forwarded-For": forwarded})
            assert owner.get(f"{owner.home}/activity").json()["items"][0]["address"] == seen


def _make(person, name, key, **more):
    headers = {"Idempotency-Key": key, **more}
    return person.post("/api/organizations", {"name": name}, headers=headers)


def test_a_request_sent_again_gets_the_first_answer_and_does_nothing(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    first, second = _make(ada, "New", "k1"), _make(ada, "New", "k1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    assert _names(either_api) == ["Engines", "New"]


def test_a_key_survives_a_restart(make_api, database):
    before = make_api(database)
    ada = before.register("ada@example.com", "Engines")
    first = _make(ada, "New", "k1")
    after = make_api(database, vault=before.services.vault)
    ada.client = after.client
    assert _make(ada, "New", "k1").content == first.content
    assert _names(after) == ["Engines", "New"]


def test_a_key_used_for_another_body_is_refused(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    _make(ada, "New", "k1")
    answer = _make(ada, "Other", "k1")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert _names(either_api) == ["Engines", "New"]


def test_a_key_is_its_users_routes_and_organizations_own(api):
    ada, eve = api.register("ada@example.com", "Engines"), api.register("eve@example.com", "Evil")
    answers = [_make(ada, "New", "k1"), _make(eve, "New", "k1"), _make(ada, "New", "k2")]
    answers.append(_make(ada, "New", "k1", **{"X-Organization-Id": ada.organization["id"]}))
    assert len({answer.json()["organization"]["id"] for answer in answers}) == 4
    token = ada.post("/api/auth/tokens", {"name": "New"}, headers={"Idempotency-Key": "k1"})
    assert token.json()["token"].startswith("skp_")


def test_a_key_is_forgotten_after_a_day(api):
    ada = api.register("ada@example.com", "Engines")
    _make(ada, "New", "k1")
    api.clock.advance(timedelta(hours=23, minutes=59))
    assert _make(ada, "New", "k1").headers["idempotent-replayed"] == "true"
    api.clock.advance(timedelta(minutes=1))
    ada.token = api.login("ada@example.com").json()["token"]
    assert _make(ada, "New", "k1").status_code == 201
    assert _names(api) == ["Engines", "New", "New"]


def test_a_failed_request_may_be_repeated_with_its_key(probes):
    ada = probes.register("ada@example.com", "Engines")
    headers = {"Idempotency-Key": "k1"}
    assert ada.post("/api/probe/half", headers=headers).status_code == 500
    assert ada.post("/api/probe/half", headers=headers).status_code == 500
    assert ada.post("/api/probe/half?fail=false", headers=headers).status_code == 200
    assert _names(probes) == ["Changed"]


def test_requests_of_one_key_at_once_are_one(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: _make(ada, "New", "k1"), range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert _names(either_api) == ["Engines", "New"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_length(api, key):
    ada = api.register("ada@example.com", "Engines")
    answer = _make(ada, "New", key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")


def test_a_revoked_sign_in_gets_no_stored_answer(api):
    ada = api.register("ada@example.com", "Engines")
    _make(ada, "New", "k1")
    ada.post("/api/auth/logout")
    assert _make(ada, "New", "k1").status_code == 401


def test_many_more_writers_than_threads_all_get_their_turn(api):
    ada = api.register("ada@example.com", "Engines")
    with ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(lambda n: ada.post("/api/organizations", {"name": f"Org {n}"}), range(120)))
    assert {answer.status_code for answer in answers} == {201}
    assert len(_names(api)) == 121
