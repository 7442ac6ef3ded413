"""Money that nobody paid: forged, replayed, swapped, negative, huge, and twice at once."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from api_under_test import MakesApi
from stripe_double import StripeDouble, signed
from topup_world import HOOK, Shop, make_shop, payments, stripe

from skypanel.billing.models import PaymentEvent
from skypanel.db import Database
from skypanel.drivers.payments.stripe import StripePayments

__all__ = ["payments", "stripe"]
TOPUP = "/api/paas/wallet/topup"


@pytest.fixture
def shop(make_api: MakesApi, database: Database, stripe: StripeDouble, payments: StripePayments) -> Shop:
    return make_shop(make_api, database, stripe, payments)


def kept(shop: Shop) -> int:
    with shop.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(PaymentEvent)) or 0


def test_a_forged_message_is_refused_and_not_kept(shop: Shop) -> None:
    event = shop.stripe.pay(shop.begin())
    body, headers = signed(event, at=shop.api.clock.now().timestamp())
    wrong = [
        {}, {"Stripe-Signature": ""}, signed(event, at=shop.api.clock.now().timestamp(), secret="whsec_guess")[1],
        {"Stripe-Signature": headers["Stripe-Signature"].replace("v1=", "v0=")},
        {"Authorization": f"Bearer {shop.ada.token}"},
    ]  # fmt: skip
    for each in wrong:
        assert shop.api.client.post(HOOK, content=body, headers=each).status_code == 400
    more = json.loads(body)
    more["data"]["object"]["amount_total"] = 99_999
    assert shop.api.client.post(HOOK, content=json.dumps(more).encode(), headers=headers).status_code == 400
    assert (kept(shop), shop.held()) == (0, 0)
    assert shop.api.client.post(HOOK, content=body, headers=headers).status_code == 200  # the attempt itself works


def test_a_message_of_yesterday_is_refused(shop: Shop) -> None:
    event = shop.stripe.pay(shop.begin())
    assert [shop.deliver(event, late_s=each).status_code for each in (301, 86_400, -301)] == [400, 400, 400]
    assert kept(shop) == 0
    assert shop.deliver(event, late_s=290).status_code == 200


def test_a_huge_message_is_refused_before_it_is_read(shop: Shop) -> None:
    huge = b'{"id": "' + b"x" * 400_000 + b'"}'
    assert shop.deliver(huge).status_code == 413

    def pieces() -> Any:
        for _ in range(50):
            yield b"x" * 20_000

    assert shop.api.client.post(HOOK, content=pieces()).status_code == 413
    assert kept(shop) == 0


def test_the_hook_takes_posts_alone_and_no_session(shop: Shop) -> None:
    assert shop.api.client.get(HOOK).status_code == 405
    assert HOOK not in shop.api.client.get("/api/openapi.json").json()["paths"]


@pytest.mark.parametrize("twist", [
    {"amount_total": 2_000_000}, {"amount_total": 1}, {"currency": "jpy"}, {"client_reference_id": None},
    {"metadata": {"organization_id": "globex"}}, {"metadata": {}}, {"client_reference_id": "another"},
])  # fmt: skip
def test_what_does_not_match_the_session_is_flagged_and_not_credited(shop: Shop, twist: dict[str, Any]) -> None:
    session_id = shop.begin()
    event = shop.stripe.pay(session_id)
    event["data"]["object"].update(twist)
    shop.told(event)
    assert (shop.event(event).outcome, shop.held(), shop.topup(session_id).state) == ("flagged", 0, "open")


def test_another_organizations_session_pays_nobody_else(shop: Shop) -> None:
    """Mallory pays a session that claims to be Ada's top-up, or hers to be his."""
    mallory = shop.api.register("mallory@example.com", "Rival")
    adas, mallorys = shop.begin("50"), shop.begin("5", by=mallory)
    event = shop.stripe.pay(mallorys)
    swapped = json.loads(json.dumps(event))
    swapped["id"] = "evt_swapped"
    swapped["data"]["object"]["client_reference_id"] = shop.topup(adas).id
    swapped["data"]["object"]["metadata"]["organization_id"] = shop.ada.organization["id"]
    linked = json.loads(json.dumps(swapped))  # a payment link lets its payer choose the reference
    linked["id"], linked["data"]["object"]["id"] = "evt_linked", "cs_link"
    shop.told(swapped, linked)
    assert [shop.event(each).outcome for each in (swapped, linked)] == ["flagged", "flagged"]
    assert (shop.held(), shop.held(mallory.organization["id"])) == (0, 0)
    shop.told(event)
    assert (shop.held(), shop.held(mallory.organization["id"])) == (0, 5)
    assert [each["id"] for each in mallory.get(f"{TOPUP}s").json()["items"]] == [shop.topup(mallorys).id]


def test_an_amount_is_a_sum_that_can_be_charged(shop: Shop) -> None:
    for amount in (
        "-20", "0", "-0", "1e3", "20.001", "20.0000001", "4.99", "5000.01", "NaN", "Infinity", " 20", "20 ", "٢٠", "",
        "9" * 30, 20, None, True, ["20"], {"a": 1},
    ):  # fmt: skip
        assert shop.ada.post(TOPUP, {"amount": amount}).status_code == 422, amount
    assert (shop.stripe.requests, shop.ada.get(f"{TOPUP}s").json()["items"]) == ([], [])


def test_a_refund_of_more_than_was_paid_or_less_than_nothing_is_flagged(shop: Shop) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id))
    events = [shop.stripe.refund(session_id, each) for each in (2001, -4001)]
    foreign = shop.stripe.dispute(session_id)
    foreign["data"]["object"]["currency"] = "eur"
    shop.told(*events, foreign)
    assert {shop.event(each).outcome for each in (*events, foreign)} == {"flagged"}
    assert shop.held() == 20
    root, path = shop.api.admin(), "/api/admin/paas/payment-events?outcome=flagged&limit=2"
    first = root.get(path).json()
    second = root.get(f"{path}&cursor={first['next_cursor']}").json()
    shown = first["items"] + second["items"]
    assert ({each["id"] for each in shown}, second["next_cursor"]) == (
        {each["id"] for each in (*events, foreign)},
        None,
    )
    assert all(each["note"] for each in shown)


def test_roles_below_admin_pay_nothing_in(shop: Shop) -> None:
    for role, status in (("viewer", 403), ("developer", 403), ("admin", 200)):
        person = shop.api.join(shop.ada, f"{role}@example.com", role)
        assert person.post(TOPUP, {"amount": "20"}).status_code == status
    assert shop.api.client.post(TOPUP, json={"amount": "20"}).status_code == 401
    stranger = shop.api.register("eve@example.com", "Eves")
    answer = stranger.post(TOPUP, {"amount": "20"}, headers={"X-Organization-Id": shop.ada.organization["id"]})
    assert answer.status_code == 404


def test_deliveries_at_once_enter_one_payment(shop: Shop) -> None:
    """The same message, its twin of another kind, and the clock that asks: all at the same moment."""
    for number in range(1, 6):
        session_id = shop.begin()
        completed = shop.stripe.pay(session_id)
        arrived = shop.stripe.arrive(session_id)
        told = [completed, completed, arrived, arrived]
        gate = threading.Barrier(len(told))
        statuses: list[int] = []

        def go(event: dict[str, Any], gate: threading.Barrier = gate, statuses: list[int] = statuses) -> None:
            gate.wait()
            statuses.append(shop.deliver(event).status_code)
            gate.wait()
            shop.cashier.handle(event["id"])

        threads = [threading.Thread(target=go, args=(each,)) for each in told]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 4
        assert (shop.held(), len(shop.journals())) == (20 * number, number)
        assert {shop.event(each).outcome for each in (completed, arrived)} == {"entered", "noted"}
