"""Registration, sign-in, sign-out and API tokens over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from skypanel.accounts.models import ApiToken, LoginFailure, User
from skypanel.accounts.passwords import Passwords
from skypanel.api.app import create_api
from skypanel.http.models import IdempotentRequest


def test_a_new_user_is_signed_in_and_owns_his_organization(either_api):
    ada = either_api.register("Ada@Example.com", "Analytical Engines")
    me = ada.get("/api/auth/me").json()
    assert me["user"]["email"] == "ada@example.com"
    assert [(o["slug"], o["role"]) for o in me["organizations"]] == [("analytical-engines", "owner")]
    assert not me["user"]["is_admin"]


def test_sign_in_answers_token_expiry_user_and_organizations(api):
    api.register("ada@example.com", "Engines")
    content = api.login(" ADA@example.com").json()
    assert content["expires_at"] == "2026-01-02T00:00:00.000000Z"
    assert content["user"]["email"] == "ada@example.com"
    assert set(content["organizations"][0]) >= {"id", "slug", "name", "role"}


def test_an_address_is_registered_once(either_api):
    either_api.register("ada@example.com", "Engines")
    body = {"email": "ADA@example.com ", "password": "another password", "name": "A", "organization": "Other"}
    answer = either_api.client.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


def test_one_of_two_registrations_at_once_of_an_address_wins(either_api):
    body = {"email": "ada@example.com", "password": "long enough 1", "name": "A", "organization": "Same"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: either_api.client.post("/api/auth/register", json=body), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "123456789"}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"email": "no address"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"name": "   "}, "name"),
        ({"organization": " "}, "name"),
        ({"organization": None}, "organization"),
        ({"unknown": 1}, "unknown"),
        ({"name": "nul\x00"}, "body"),
    ],
)
def test_a_registration_that_is_not_valid_names_the_field(api, change, field):
    body = {"email": "a@example.com", "password": "long enough", "name": "A", "organization": "Org"} | change
    answer = api.client.post("/api/auth/register", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "123456789" not in answer.text


def test_by_invitation_only_nobody_else_registers(make_api, sqlite_database):
    open_api = make_api(sqlite_database)
    ada = open_api.register("ada@example.com", "Engines")
    closed = make_api(sqlite_database, auth=replace(open_api.services.auth, registration="invited"))
    body = {"email": "eve@example.com", "password": "long enough", "name": "E", "organization": "Evil"}
    answer = closed.client.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
    grace = closed.join(ada, "grace@example.com", "viewer")
    assert grace.organization["id"] == ada.organization["id"]
    assert grace.organization["role"] == "viewer"


def test_a_wrong_password_and_an_unknown_address_look_the_same(api):
    api.register("ada@example.com", "Engines")
    wrong, unknown = api.login("ada@example.com", "wrong password"), api.login("eve@example.com", "wrong password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.headers["content-type"] == "application/problem+json"


def test_an_unknown_address_costs_a_password_check_too(api, monkeypatch):
    checked = []
    verify = Passwords.verify
    monkeypatch.setattr(
        Passwords, "verify", lambda self, stored, password: (checked.append(stored), verify(self, stored, password))[1]
    )
    assert api.login("nobody@example.com").status_code == 401
    assert checked == [None]


def test_signing_out_ends_the_token(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    assert ada.post("/api/auth/logout").status_code == 204
    assert ada.get("/api/auth/me").status_code == 401
    assert either_api.login("ada@example.com").status_code == 200


def test_a_sign_in_expires(api):
    ada = api.register("ada@example.com", "Engines")
    api.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert ada.get("/api/auth/me").status_code == 200
    api.clock.advance(timedelta(seconds=1))
    answer = ada.get("/api/auth/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_forged_tokens_are_refused(api):
    ada = api.register("ada@example.com", "Engines")
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    forged = [
        jwt.encode(claims, "x" * 48, algorithm="HS256"),
        jwt.encode(claims, "k" * 48, algorithm="HS384"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims | {"sid": "another"}, "k" * 48, algorithm="HS256"),
        jwt.encode(claims | {"sub": "another"}, "k" * 48, algorithm="HS256"),
        jwt.encode({"sub": ada.id, "exp": claims["exp"]}, "k" * 48, algorithm="HS256"),
        "skp_" + "A" * 43,
        "",
        "a.b.c",
    ]
    for token in forged:
        answer = api.client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
    assert api.client.get("/api/auth/me").json()["code"] == "unauthenticated"


def test_too_many_failures_lock_the_account_until_the_oldest_is_forgotten(either_api):
    either_api.register("ada@example.com", "Engines")
    for _ in range(5):
        assert either_api.login("ada@example.com", "wrong password").status_code == 401
        either_api.clock.advance(timedelta(minutes=1))
    elsewhere = {"headers": {"x-forwarded-for": "198.51.100.7"}}
    refused = either_api.login("ada@example.com", **elsewhere)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_logins")
    assert refused.headers["retry-after"] == "600"
    either_api.clock.advance(timedelta(seconds=599))
    assert either_api.login("ada@example.com").status_code == 429
    either_api.clock.advance(timedelta(seconds=1))
    assert either_api.login("ada@example.com").status_code == 200


def test_too_many_failures_lock_the_address_for_every_account(api):
    api.register("ada@example.com", "Engines")
    for n in range(5):
        assert api.login(f"guess{n}@example.com").status_code == 401
    assert api.login("ada@example.com").status_code == 429


def test_a_network_of_one_household_counts_as_one_address(api):
    app = create_api(api.services)
    answers = []
    for n in range(6):
        with TestClient(app, client=(f"2001:db8::{n}", 1)) as api.client:
            answers.append(api.login(f"guess{n}@example.com").status_code)
    with TestClient(app, client=("2001:db8:0:1::1", 1)) as api.client:
        answers.append(api.login("guess@example.com").status_code)
    assert answers == [401] * 5 + [429, 401]


def test_a_success_forgets_the_failures_of_the_account(api):
    api.register("ada@example.com", "Engines")
    for _ in range(4):
        api.login("ada@example.com", "wrong password")
    assert api.login("ada@example.com").status_code == 200
    with api.database.reading() as session:
        subjects = set(session.scalars(sa.select(LoginFailure.subject)))
    assert subjects == {"address:203.0.113.9", "registration:203.0.113.9"}


def test_guesses_sent_at_once_are_all_counted(either_api):
    either_api.register("ada@example.com", "Engines")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: either_api.login("ada@example.com", f"wrong guess {n}"), range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


def test_a_password_is_hashed_anew_when_the_parameters_change(make_api, sqlite_database):
    old = make_api(sqlite_database)
    old.register("ada@example.com", "Engines")
    new = make_api(sqlite_database, auth=replace(old.services.auth, passwords=Passwords(memory_kib=16, passes=1)))
    assert new.login("ada@example.com").status_code == 200
    with new.database.reading() as session:
        assert "$m=16,t=1,p=1$" in session.scalars(sa.select(User.password_hash)).one()
    assert new.login("ada@example.com").status_code == 200


def test_an_api_token_is_shown_once_works_and_can_be_revoked(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    made = ada.post("/api/auth/tokens", {"name": "ci"}).json()
    assert made["token"].startswith("skp_")
    assert len(made["token"]) == 47
    program = replace(ada, token=made["token"])
    assert program.get("/api/auth/me").json()["user"]["id"] == ada.id
    listed = ada.get("/api/auth/tokens").json()["items"]
    assert [(t["name"], t["hint"]) for t in listed] == [("ci", made["token"][:8])]
    assert made["token"] not in ada.get("/api/auth/tokens").text
    assert ada.delete(f"/api/auth/tokens/{made['api_token']['id']}").status_code == 204
    assert program.get("/api/auth/me").status_code == 401
    assert ada.delete(f"/api/auth/tokens/{made['api_token']['id']}").status_code == 404
    assert ada.get("/api/auth/tokens").json()["items"] == []


def test_only_the_digest_of_a_token_is_stored(api):
    ada = api.register("ada@example.com", "Engines")
    token = ada.post("/api/auth/tokens", {"name": "ci"}, headers={"Idempotency-Key": "t"}).json()["token"]
    with api.database.reading() as session:
        row = session.scalars(sa.select(ApiToken)).one()
        kept = session.scalars(sa.select(IdempotentRequest.response)).one()
    assert token not in str(vars(row))
    assert token.encode() not in kept


def test_a_token_that_expired_is_refused(api):
    ada = api.register("ada@example.com", "Engines")
    made = ada.post("/api/auth/tokens", {"name": "ci", "expires_at": "2026-01-01T01:00:00Z"}).json()
    program = replace(ada, token=made["token"])
    assert program.get("/api/auth/me").status_code == 200
    api.clock.advance(timedelta(hours=1))
    assert program.get("/api/auth/me").status_code == 401
    past = ada.post("/api/auth/tokens", {"name": "ci", "expires_at": "2026-01-01T00:59:00Z"})
    assert past.json()["errors"][0]["field"] == "expires_at"


def test_a_token_makes_no_other_tokens_and_does_not_sign_out(api):
    ada = api.register("ada@example.com", "Engines")
    program = replace(ada, token=ada.post("/api/auth/tokens", {"name": "ci"}).json()["token"])
    assert program.post("/api/auth/tokens", {"name": "more"}).json()["code"] == "sign_in_required"
    assert program.post("/api/auth/logout").json()["code"] == "not_signed_in"


def test_another_users_token_cannot_be_revoked(api):
    ada, eve = api.register("ada@example.com", "Engines"), api.register("eve@example.com", "Evil")
    made = ada.post("/api/auth/tokens", {"name": "ci"}).json()
    assert eve.delete(f"/api/auth/tokens/{made['api_token']['id']}").status_code == 404
    assert replace(ada, token=made["token"]).get("/api/auth/me").status_code == 200


def test_the_use_of_a_token_is_noted_once_a_minute(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    made = ada.post("/api/auth/tokens", {"name": "ci"}).json()
    program = replace(ada, token=made["token"])

    def used() -> str | None:
        return ada.get("/api/auth/tokens").json()["items"][0]["last_used_at"]

    assert used() is None
    program.get("/api/auth/me")
    assert used() == "2026-01-01T00:00:00.000000Z"
    either_api.clock.advance(timedelta(seconds=59))
    program.get("/api/auth/me")
    assert used() == "2026-01-01T00:00:00.000000Z"
    either_api.clock.advance(timedelta(seconds=1))
    program.post("/api/organizations", {"name": "Another"})
    assert used() == "2026-01-01T00:01:00.000000Z"


def test_tokens_page(api):
    ada = api.register("ada@example.com", "Engines")
    for n in range(5):
        ada.post("/api/auth/tokens", {"name": f"t{n}"})
    names, cursor = [], None
    while True:
        page = ada.get("/api/auth/tokens", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["t4", "t3", "t2", "t1", "t0"]
