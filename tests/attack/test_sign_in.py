"""Guessing, flooding and forging at the door: passwords, registrations, sessions. More of it in
tests/integration/api/test_sign_in.py (forged JWTs, guesses sent at once) and tests/integration/dashboard (cookies)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from skypanel.accounts.passwords import Passwords

if TYPE_CHECKING:
    from api_under_test import Api, MakesApi

    from skypanel.db import Database


def registration(api: Api, number: int, **headers: str) -> Any:
    body = {"email": f"x{number}@example.com", "password": "long enough 1", "name": "X", "organization": "Many"}
    return api.client.post("/api/auth/register", json=body, headers=headers)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The costly things that were done with passwords: what time would tell, without a clock."""
    done: list[str] = []
    verify, hash_ = Passwords.verify, Passwords.hash
    monkeypatch.setattr(Passwords, "verify", lambda *given: (done.append("verified"), verify(*given))[1])
    monkeypatch.setattr(Passwords, "hash", lambda *given: (done.append("hashed"), hash_(*given))[1])
    return done


def test_one_address_registers_only_so_often(make_api: MakesApi, database: Database, hashed: list[str]) -> None:
    api = make_api(database)
    api = make_api(database, auth=replace(api.services.auth, registrations_per_quarter=3))
    codes = [registration(api, number).status_code for number in (0, 1, 0)]
    assert codes == [201, 201, 409], "one that fails tells whether an account exists: it counts too"
    hashed.clear()
    refused = registration(api, 3, **{"X-Forwarded-For": "198.51.100.7"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_registrations")
    assert refused.headers["retry-after"] == "900"
    assert hashed == [], "a refused one costs nothing"
    assert api.login("x0@example.com", "long enough 1").status_code == 200, "signing in is another matter"
    api.clock.advance(timedelta(seconds=900))
    assert registration(api, 3).status_code == 201


def test_registrations_that_could_never_succeed_are_refused_before_they_cost_anything(
    api: Api, hashed: list[str]
) -> None:
    for change in ({"password": "short"}, {"email": "none"}, {"organization": None}, {"organization": " "}):
        body = {"email": "a@example.com", "password": "long enough", "name": "A", "organization": "Org"} | change
        assert api.client.post("/api/auth/register", json=body).status_code == 422
    assert hashed == []


def test_known_and_unknown_people_cost_the_same_work(api: Api, hashed: list[str]) -> None:
    api.register("ada@example.com", "Engines")
    work = []
    for email in ("ada@example.com", "nobody@example.com"):
        hashed.clear()
        assert api.login(email, "a wrong password").status_code == 401
        work.append(list(hashed))
    assert work == [["verified"], ["verified"]]


def test_an_address_that_may_not_guess_any_more_costs_nothing(api: Api, hashed: list[str]) -> None:
    api.register("ada@example.com", "Engines")
    for number in range(5):
        api.login(f"guess{number}@example.com")
    hashed.clear()
    assert [api.login(email).status_code for email in ("ada@example.com", "nobody@example.com")] == [429, 429]
    assert hashed == []


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}, {"X-Real-Ip": "198.51.100.7"},
        {"X-Forwarded-For": "127.0.0.1"}, {"True-Client-IP": "198.51.100.7"}, {"X-Client-IP": "198.51.100.7"},
    ],
)  # fmt: skip
def test_another_address_in_a_header_buys_no_more_guesses(api: Api, header: dict[str, str]) -> None:
    for number in range(5):
        assert api.login(f"guess{number}@example.com", headers=header).status_code == 401
    assert api.login("guess@example.com", headers=dict.fromkeys(header, "203.0.113.77")).status_code == 429


def test_every_sign_in_is_a_new_session_and_ends_alone(api: Api) -> None:
    """No fixation: nothing that a client brings along becomes its session."""
    ada = api.register("ada@example.com", "Engines")
    tokens = [ada.token]
    for _ in range(2):
        answer = api.login("ada@example.com", headers={"Authorization": f"Bearer {ada.token}"})
        tokens.append(answer.json()["token"])
    ids = {jwt.decode(token, options={"verify_signature": False})["sid"] for token in tokens}
    assert len(ids) == 3
    assert replace(ada, token=tokens[1]).post("/api/auth/logout").status_code == 204
    assert [replace(ada, token=token).get("/api/auth/me").status_code for token in tokens] == [200, 401, 200]


def test_a_password_is_in_no_answer_and_no_error(api: Api) -> None:
    word = "canary-password-9d7e"
    body = {"email": "a@example.com", "password": word, "name": "A", "organization": "Org"}
    answers = [
        api.client.post("/api/auth/register", json={**body, "name": "nul\x00"}),
        api.client.post("/api/auth/register", json={**body, "extra": word}),
        api.client.post("/api/auth/register", json=body),
        api.client.post("/api/auth/login", json={"email": "a@example.com", "password": [word]}),
        api.client.post("/api/auth/login", json={"email": "a@example.com", "password": word * 60}),
        api.client.post("/api/auth/login", json={"email": "a@example.com", "password": word + "x"}),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 201, 422, 422, 401]
    assert not [answer.text for answer in answers if word in answer.text]
