"""The wallet over the API: balance, transactions, statement, cap, resuming; and prices before an action."""

from __future__ import annotations

from typing import Any

import billing_world
import pytest
from api_under_test import Api, MakesApi
from billing_house import House

from skypanel.apps.models import App, Wanted
from skypanel.db import Database


@pytest.fixture
def house(api: Api) -> House:
    return House(api)


def test_a_new_wallet_has_its_welcome_credit_and_burns_nothing(house: House) -> None:
    assert house.wallet() == {
        "balance": "1000.00", "currency": "USD", "state": "ok", "billed": True, "hours_left": None,
        "burn_per_hour": "0.00", "needed_to_resume": None, "spent_this_month": "0.00", "cap": None,
        "suspended_for": None, "suspended_reason": None, "suspended_at": None,
    }  # fmt: skip


def test_hours_left_and_state_follow_what_runs(house: House) -> None:
    app = house.world.app(house.organization, plan="standard", formation={"web": 2})
    house.world.start(app)
    house.world.start(app)
    found = house.wallet()
    assert (found["burn_per_hour"], found["hours_left"], found["state"]) == ("0.0694", 14409, "ok")
    house.enter("-995.1")
    assert (house.wallet()["hours_left"], house.wallet()["state"]) == (70, "low")
    house.world.advance(hours=1, minutes=2)
    house.world.bill()
    assert house.wallet()["spent_this_month"] == "0.0694"
    house.enter("-4.8306")
    assert (house.wallet()["balance"], house.wallet()["state"]) == ("0.00", "empty")


def test_transactions_page_with_the_balance_after_each(house: House) -> None:
    house.enter("5", "credit")
    app = house.world.app(house.organization)
    house.world.start(app)
    house.world.advance(hours=2, minutes=2)
    house.world.bill()
    pages: list[Any] = []
    cursor = None
    while True:
        page = house.ada.get(
            "/api/paas/wallet/transactions", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        pages += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(t["kind"], t["amount"], t["balance"]) for t in pages] == [
        ("usage", "-0.0069", "1004.9862"), ("usage", "-0.0069", "1004.9931"), ("credit", "5.00", "1005.00"),
        ("credit", "1000.00", "1000.00"),
    ]  # fmt: skip
    assert pages[1]["hour"] == "2026-03-01T10:00:00.000000Z"
    assert (pages[2]["author"], pages[2]["reason"]) == ("root@example.com", "for a test")
    for cursor in ("WzFlMzAwXQ", "WyJ4Il0", "x"):  # [1e300], ["x"]
        refused = house.ada.get("/api/paas/wallet/transactions", params={"cursor": cursor})
        assert (refused.status_code, refused.json()["code"]) == (422, "cursor_invalid")


def test_a_statement_opens_with_what_the_month_before_closed_with(house: House) -> None:
    app = house.world.app(house.organization)
    house.world.start(app)
    house.world.clock.moment = billing_world.datetime(2026, 4, 2, 0, 5, tzinfo=billing_world.UTC)
    house.world.bill()
    for person in (house.ada, house.admin):  # their sessions have ended
        person.token = house.api.login(person.email).json()["token"]
    house.enter("7.5", "refund")
    march = house.ada.get("/api/paas/wallet/statement", params={"month": "2026-03"}).json()
    april = house.ada.get("/api/paas/wallet/statement").json()
    assert (april["month"], april["from"]) == ("2026-04", "2026-04-01T00:00:00.000000Z")
    assert march["closing"] == april["opening"] == "1000.00"
    assert april["kinds"] == [{"kind": "refund", "amount": "7.50"}, {"kind": "usage", "amount": "-5.2302"}]
    assert (march["usage_total"], april["usage_total"]) == ("5.0646", "0.1656")
    assert [(u["app_id"], u["hours"]) for u in april["usage"]] == [(app, 24)]
    for month in ("2026-13", "26-1", "0000-01"):
        assert house.ada.get("/api/paas/wallet/statement", params={"month": month}).status_code == 422


def test_a_cap_stops_the_month_and_a_higher_one_brings_it_back(house: House) -> None:
    app = house.world.app(house.organization)
    house.world.start(app)
    assert house.ada.request("PUT", "/api/paas/wallet/cap", json={"cap": "0.01"}).json()["wallet"]["cap"] == "0.01"
    house.world.advance(hours=2, minutes=2)
    house.world.bill()
    found = house.wallet()
    assert (found["state"], found["suspended_for"]) == ("suspended", "cap")
    assert house.ada.post("/api/paas/wallet/resume").json()["code"] == "cap_reached"
    raised = house.ada.request("PUT", "/api/paas/wallet/cap", json={"cap": None}).json()["wallet"]
    assert (raised["state"], raised["cap"], raised["suspended_for"]) == ("ok", None, None)
    for cap in ("0", "-1", "1e3", 5, "0.0000001", "99999999999"):
        assert house.ada.request("PUT", "/api/paas/wallet/cap", json={"cap": cap}).status_code == 422, cap


def test_at_zero_everything_is_suspended_and_a_refill_brings_it_back(house: House) -> None:
    app = house.runs_dry()
    found = house.wallet()
    assert (found["state"], found["suspended_for"], found["needed_to_resume"]) == ("suspended", "funds", "0.0069")
    assert "refill" in found["suspended_reason"]
    one = house.ada.get(house.ada.home).json()["organization"]
    assert (one["status"], one["suspended_for"]) == ("suspended", "funds")
    refused = house.ada.post("/api/paas/wallet/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "funds_missing")
    assert house.enter("10", "credit")["wallet"]["state"] == "ok"
    assert house.world.read(app).wanted == Wanted.RUNNING
    assert house.ada.post("/api/paas/wallet/resume").json()["code"] == "not_suspended"


def test_an_owner_resumes_what_only_lacked_money_and_never_what_an_admin_has_suspended(house: House) -> None:
    path = f"/api/admin/paas/organizations/{house.organization}"
    app = house.world.app(house.organization)
    assert house.admin.post(f"{path}/suspend").json()["wallet"]["suspended_for"] == "admin"
    refused = house.ada.post("/api/paas/wallet/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "suspended_by_admin")
    house.enter("1", "credit")
    house.ada.request("PUT", "/api/paas/wallet/cap", json={"cap": "5"})
    assert house.world.read(app).wanted == Wanted.SUSPENDED
    assert house.admin.post(f"{path}/resume").json()["wallet"]["state"] == "ok"
    assert house.world.read(app).wanted == Wanted.RUNNING


def test_who_may_do_what_with_the_wallet(house: House) -> None:
    expected = {
        "admin": (200, 200, 200, 403, 409), "developer": (200, 403, 403, 403, 403), "viewer": (200, 403, 403, 403, 403),
    }  # fmt: skip
    for role, wanted in expected.items():
        person = house.api.join(house.ada, f"{role}@example.com", role)
        found = (
            person.get("/api/paas/wallet").status_code,
            person.get("/api/paas/wallet/transactions").status_code,
            person.get("/api/paas/wallet/statement").status_code,
            person.request("PUT", "/api/paas/wallet/cap", json={"cap": "1"}).status_code,
            person.post("/api/paas/wallet/resume").status_code,
        )
        assert found == wanted, role


def test_nobody_reaches_anothers_wallet(house: House) -> None:
    eve = house.api.register("eve@example.com", "Evil")
    eve.headers = {"X-Organization-Id": house.organization}
    for method, path, body in (
        ("GET", "", None), ("GET", "/transactions", None), ("GET", "/statement", None), ("PUT", "/cap", {"cap": "1"}),
        ("POST", "/resume", None),
    ):  # fmt: skip
        assert eve.request(method, f"/api/paas/wallet{path}", json=body).status_code == 404
    admins = f"/api/admin/paas/organizations/{house.organization}"
    mine = {"kind": "credit", "amount": "100", "reason": "for me"}
    for person in (eve, house.ada):
        person.headers = {}
        for verb in ("wallet/entries", "suspend", "resume"):
            assert person.post(f"{admins}/{verb}", mine).status_code == 403
        assert person.get(f"{admins}/wallet").status_code == 403
    assert house.wallet()["balance"] == "1000.00"


def price(house: House, path: str, **asked: Any) -> Any:
    answer = house.ada.get(f"/api/paas{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_price_of_a_new_application(house: House) -> None:
    found = price(house, "/price", plan="standard", replicas=3)
    assert found == {
        "plan": "standard", "process_type": "web", "current_replicas": 0, "replicas": 3, "max_replicas": 3,
        "total_replicas": 3, "cost_per_hour_before": "0.00", "cost_per_hour": "0.1041", "cost_per_month": "75.993",
        "organization_cost_per_hour": "0.1041", "balance": "1000.00", "balance_after_hour": "999.8959",
        "currency": "USD", "billed": True, "affordable": True, "fits_plan": True,
    }  # fmt: skip
    assert price(house, "/price")["plan"] == "hobby"
    assert price(house, "/price", replicas=2)["fits_plan"] is False
    assert house.ada.get("/api/paas/price", params={"plan": "gold"}).json()["code"] == "plan_unknown"
    house.enter("-999.95")
    assert price(house, "/price", plan="standard", replicas=3)["affordable"] is False


def test_the_price_of_a_change_is_the_one_that_is_charged(house: House) -> None:
    app = house.world.app(house.organization, plan="pro", formation={"web": 1})
    house.world.start(app)
    found = price(house, f"/apps/{app}/price", replicas=3)
    assert (found["current_replicas"], found["replicas"], found["max_replicas"]) == (1, 3, 10)
    assert (found["cost_per_hour_before"], found["cost_per_hour"]) == ("0.0694", "0.2082")
    assert (found["balance"], found["balance_after_hour"]) == ("1000.00", "999.7918")
    house.world.start(app)
    house.world.start(app)
    house.world.advance(hours=1, minutes=2)
    house.world.bill()
    assert house.wallet()["balance"] == found["balance_after_hour"]
    other = price(house, f"/apps/{app}/price", plan="hobby", replicas=3)
    assert (other["cost_per_hour"], other["max_replicas"], other["fits_plan"]) == ("0.0207", 1, False)


def test_its_own_plan_costs_what_it_did_when_it_was_chosen(house: House) -> None:
    app = house.world.app(house.organization, plan="pro")
    house.admin.patch("/api/admin/paas/plans/pro", {"price_per_hour": "9"})
    assert price(house, f"/apps/{app}/price", plan="pro")["cost_per_hour"] == "0.0694"
    assert price(house, f"/apps/{app}/price")["cost_per_hour"] == "0.0694"


def test_a_price_is_refused_for_what_is_none(house: House) -> None:
    app = house.world.app(house.organization)
    where = f"/api/paas/apps/{app}/price"
    assert house.ada.get(where, params={"process_type": "x", "replicas": 1}).json()["code"] == "unknown_process_type"
    assert house.ada.get(where, params={"replicas": -1}).status_code == 422
    eve = house.api.register("eve@example.com", "Evil")
    assert eve.get(where).status_code == 404


def test_an_organization_that_is_not_billed_is_shown_as_free(make_api: MakesApi, sqlite_database: Database) -> None:
    house = House(make_api(sqlite_database, billing=False, signup_credit_micro=0))
    app = house.world.app(house.organization)
    house.world.start(app)
    found = house.wallet()
    assert (found["state"], found["hours_left"], found["burn_per_hour"]) == ("free", None, "0.0069")
    assert price(house, "/price", plan="pro", replicas=10)["affordable"] is True
    house.world.advance(hours=1, minutes=2)
    house.world.bill()
    assert house.wallet()["balance"] == "0.00"
    with house.api.database.reading() as session:
        assert session.get_one(App, app).wanted == Wanted.RUNNING
