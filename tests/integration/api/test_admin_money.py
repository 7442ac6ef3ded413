"""Money as the platform's admin moves it."""

from __future__ import annotations

from typing import Any

import pytest
from api_under_test import Api, Person


@pytest.fixture
def ada(api: Api) -> Person:
    return api.register("ada@example.com", "Engines")


@pytest.fixture
def admin(api: Api, ada: Person) -> Person:
    return api.admin()


ENGINES = "/api/admin/paas/organizations/engines"
CREDIT = {"kind": "credit", "amount": "25.50", "reason": "goodwill for the outage"}


def entered(admin: Person, **changes: Any) -> Any:
    return admin.post(f"{ENGINES}/wallet/entries", CREDIT | changes)


def balance(admin: Person) -> str:
    return str(admin.get(f"{ENGINES}/wallet").json()["wallet"]["balance"])


def test_a_credit_is_entered_with_author_and_reason_and_told(admin: Person, ada: Person) -> None:
    answer = entered(admin)
    assert answer.status_code == 201, answer.text
    entry = answer.json()["entry"]
    assert (entry["kind"], entry["amount"], entry["balance"]) == ("credit", "25.50", "1025.50")
    assert (entry["author"], entry["reason"]) == ("root@example.com", "goodwill for the outage")
    assert answer.json()["wallet"]["balance"] == "1025.50"
    latest = ada.get(f"{ada.home}/activity").json()["items"][0]
    assert (latest["verb"], latest["actor"]) == ("wallet.credit", "root@example.com")
    listed = admin.get(f"{ENGINES}/wallet/transactions").json()["items"]
    assert listed == ada.get("/api/paas/wallet/transactions").json()["items"]


def test_adjustments_take_and_refunds_give(admin: Person) -> None:
    assert entered(admin, kind="adjustment", amount="-0.000001").json()["entry"]["amount"] == "-0.000001"
    assert entered(admin, kind="refund", amount="0.000001").status_code == 201
    assert balance(admin) == "1000.00"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"), ({"amount": "-1"}, "amount"), ({"amount": "1e3"}, "amount"),
        ({"amount": 5}, "amount"), ({"amount": "0.0000001"}, "amount"), ({"amount": "9999999999"}, "amount"),
        ({"amount": "NaN"}, "amount"), ({"kind": "payment"}, "kind"), ({"kind": "usage"}, "kind"),
        ({"reason": "  a  "}, "reason"), ({"reason": ""}, "reason"), ({"kind": "refund", "amount": "-1"}, "amount"),
    ],
)  # fmt: skip
def test_what_cannot_be_entered_names_the_field(admin: Person, changes: dict[str, Any], field: str) -> None:
    answer = entered(admin, **changes)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    assert balance(admin) == "1000.00"


def test_the_same_key_enters_once(admin: Person) -> None:
    key = {"Idempotency-Key": "credit-1"}
    first = admin.post(f"{ENGINES}/wallet/entries", CREDIT, headers=key)
    again = admin.post(f"{ENGINES}/wallet/entries", CREDIT, headers=key)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = admin.post(f"{ENGINES}/wallet/entries", CREDIT | {"amount": "1"}, headers=key)
    assert other.json()["code"] == "idempotency_key_reused"
    assert balance(admin) == "1025.50"


def test_a_suspended_organization_says_why_and_starts_nothing(admin: Person, ada: Person) -> None:
    assert admin.post(f"{ENGINES}/resume").json()["code"] == "not_suspended"
    for _ in range(2):
        assert admin.post(f"{ENGINES}/suspend").json()["wallet"]["state"] == "suspended"
    one = ada.get(ada.home).json()["organization"]
    assert (one["status"], one["suspended_for"]) == ("suspended", "admin")
    assert "admin" in one["suspended_reason"]
    listed = admin.get("/api/admin/paas/organizations").json()["items"][0]
    assert (listed["status"], listed["suspended_for"], listed["balance"]) == ("suspended", "admin", "1000.00")
    made = ada.post("/api/paas/apps", {"name": "Shop", "git_url": "https://git.example.com/shop.git"})
    assert made.json()["code"] == "organization_suspended"
    assert admin.post(f"{ENGINES}/resume").json()["wallet"]["state"] == "ok"
    assert ada.get(ada.home).json()["organization"]["suspended_for"] is None
    assert [i["verb"] for i in ada.get(f"{ada.home}/activity").json()["items"]][:2] == [
        "organization.resumed", "organization.suspended",
    ]  # fmt: skip


def test_billing_is_switched_alone_and_limits_stay(admin: Person, ada: Person) -> None:
    admin.patch(ENGINES, {"max_apps": 3})
    changed = admin.patch(ENGINES, {"billed": False}).json()["organization"]
    assert (changed["billed"], changed["max_apps"]) == (False, 3)
    assert ada.get("/api/paas/wallet").json()["state"] == "free"
    assert ada.get(f"{ada.home}/activity").json()["items"][0]["verb"] == "organization.billing_changed"
    assert admin.patch(ENGINES, {"billed": True}).json()["organization"]["billed"] is True
    assert admin.patch(ENGINES, {}).json()["organization"]["max_apps"] == 3
    assert admin.patch(ENGINES, {"billed": None}).status_code == 422


def test_an_organization_that_nobody_has_is_not_found(admin: Person) -> None:
    none = "/api/admin/paas/organizations/none"
    assert admin.get(f"{none}/wallet").status_code == 404
    assert admin.get(f"{none}/wallet/transactions").status_code == 404
    assert admin.post(f"{none}/wallet/entries", CREDIT).status_code == 404
    assert admin.post(f"{none}/suspend").status_code == admin.post(f"{none}/resume").status_code == 404
