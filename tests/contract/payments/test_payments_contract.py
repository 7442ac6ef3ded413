"""What every payment driver does; what is Stripe's own says so."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe_double import KEY, WEBHOOK_SECRET, StripeDouble, signed

from skypanel.drivers.payments.port import (
    Checkout,
    Disputed,
    DisputeState,
    NotGenuine,
    Payments,
    PaymentsFailed,
    PaymentsRefused,
    Refunded,
    RefundFailed,
    SessionState,
    Started,
)
from skypanel.drivers.payments.stripe import StripePayments
from skypanel.kit.secret import Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TWENTY = Checkout(
    reference="0197-topup", organization_id="acme", amount_micro=20_000_000, currency="USD",
    description="Top-up of the wallet", email="ada@example.com", success_url="https://panel.example.com/wallet?topup=paid",
    cancel_url="https://panel.example.com/wallet?topup=cancelled",
)  # fmt: skip


def read(payments: Payments, event: dict[str, Any]) -> Any:
    return payments.read(json.dumps(event).encode()).about


def test_a_checkout_has_a_page_and_can_be_asked_for(payments: Payments) -> None:
    started = payments.start(TWENTY)
    assert started.url.startswith("https://")
    found = payments.session(started.session_id)
    assert (found.reference, found.organization_id) == ("0197-topup", "acme")
    assert (found.amount_micro, found.currency, found.state) == (20_000_000, "USD", SessionState.OPEN)
    assert found.payment_id is None


def test_the_same_reference_gets_the_same_session(payments: Payments, stripe: StripeDouble) -> None:
    assert payments.start(TWENTY) == payments.start(TWENTY)
    assert len(stripe.sessions) == 1


def test_a_reference_is_not_used_for_another_amount(payments: Payments) -> None:
    payments.start(TWENTY)
    with pytest.raises(PaymentsRefused):
        payments.start(replace(TWENTY, amount_micro=30_000_000))


def test_an_answer_that_got_lost_is_asked_for_again_without_a_second_session(
    payments: Payments, stripe: StripeDouble
) -> None:
    stripe.failures = ["lose"]
    with pytest.raises(PaymentsFailed):
        payments.start(TWENTY)
    payments.start(TWENTY)
    assert len(stripe.sessions) == 1


def test_two_at_once_make_one_session(payments: Payments, stripe: StripeDouble) -> None:
    stripe.pause_s = 0.3
    got: list[Any] = []

    def start() -> None:
        try:
            got.append(payments.start(TWENTY))
        except PaymentsFailed as error:
            got.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stripe.sessions) == 1
    assert sum(isinstance(each, Started) for each in got) >= 1
    assert payments.start(TWENTY) in got


@pytest.mark.parametrize("failure", ["500", "429", "hang up", "html"])
def test_what_may_pass_is_a_failure(payments: Payments, stripe: StripeDouble, failure: str) -> None:
    stripe.failures = [failure]
    with pytest.raises(PaymentsFailed):
        payments.start(TWENTY)
    stripe.failures = [failure]
    with pytest.raises(PaymentsFailed):
        payments.session("cs_1")


def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(PaymentsFailed):
        StripePayments(Secret(KEY), api="http://127.0.0.1:9").start(TWENTY)


def test_a_wrong_key_is_a_failure_that_does_not_show_it(stripe: StripeDouble) -> None:
    with (
        contextlib.closing(StripePayments(Secret("sk_live_very_secret"), api=stripe.url)) as driver,
        pytest.raises(PaymentsFailed) as caught,
    ):
        driver.start(TWENTY)
    assert "very_secret" not in str(caught.value)


def test_an_unknown_session_is_refused(payments: Payments) -> None:
    with pytest.raises(PaymentsRefused):
        payments.session("cs_none/../../v1")


@pytest.mark.parametrize(
    ("currency", "micro", "minor"),
    [
        ("USD", 20_500_000, 2050), ("EUR", 10_000, None), ("JPY", 500_000_000, 500), ("KRW", 1_000_000, 1),
        ("KWD", 5_120_000, 5120), ("TND", 1_000_000, 1000), ("ISK", 40_000_000, 4000), ("UGX", 5_000_000, 500),
        ("HUF", 10_450_000, 1045), ("TWD", 10_500_000, 1050),
    ],
)  # fmt: skip
def test_amounts_are_given_in_the_currencys_minor_unit_and_read_back(
    payments: Payments, stripe: StripeDouble, currency: str, micro: int, minor: int | None
) -> None:
    checkout = replace(TWENTY, currency=currency, amount_micro=micro)
    if minor is None:  # below what cards allow
        with pytest.raises(PaymentsRefused):
            payments.start(checkout)
        return
    session_id = payments.start(checkout).session_id
    assert stripe.sessions[session_id]["amount_total"] == minor
    found = payments.session(session_id)
    assert (found.amount_micro, found.currency) == (micro, currency)
    assert micro % payments.unit(currency) == 0


@pytest.mark.parametrize(
    ("currency", "micro"),
    [
        ("USD", 20_001_000),
        ("JPY", 500_500_000),
        ("KWD", 5_124_000),
        ("ISK", 40_100_000),
        ("USD", 0),
        ("USD", -5_000_000),
    ],
)
def test_what_is_no_exact_number_of_minor_units_is_refused_unasked(
    payments: Payments, stripe: StripeDouble, currency: str, micro: int
) -> None:
    with pytest.raises(PaymentsRefused):
        payments.start(replace(TWENTY, currency=currency, amount_micro=micro))
    assert stripe.requests == []
    assert micro <= 0 or micro % payments.unit(currency)


def test_requests_carry_the_key_the_pinned_version_and_our_reference(payments: Payments, stripe: StripeDouble) -> None:
    payments.start(TWENTY)
    _, _, headers = stripe.requests[0]
    assert headers["stripe-version"] == "2025-03-31.basil"
    assert headers["idempotency-key"] == TWENTY.reference
    assert headers["content-type"] == "application/x-www-form-urlencoded"


# --- what is told


def test_a_paid_session(payments: Payments, stripe: StripeDouble) -> None:
    session_id = payments.start(TWENTY).session_id
    told = read(payments, stripe.pay(session_id))
    assert (told.id, told.state, told.amount_micro) == (session_id, SessionState.PAID, 20_000_000)
    assert told.payment_id == stripe.sessions[session_id]["payment_intent"]
    assert told == payments.session(session_id)


def test_a_payment_that_takes_days_is_not_paid_before_it_arrives(payments: Payments, stripe: StripeDouble) -> None:
    session_id = payments.start(TWENTY).session_id
    assert read(payments, stripe.pay(session_id, delayed=True)).state == SessionState.OPEN
    assert read(payments, stripe.arrive(session_id, well=False)).state == SessionState.FAILED
    assert read(payments, stripe.arrive(session_id)).state == SessionState.PAID


def test_an_expired_session(payments: Payments, stripe: StripeDouble) -> None:
    session_id = payments.start(TWENTY).session_id
    assert read(payments, stripe.expire(session_id)).state == SessionState.EXPIRED
    assert payments.session(session_id).state == SessionState.EXPIRED


def test_refunds_and_disputes_name_the_payment(payments: Payments, stripe: StripeDouble) -> None:
    session_id = payments.start(TWENTY).session_id
    stripe.pay(session_id)
    payment = stripe.sessions[session_id]["payment_intent"]
    stripe.refund(session_id, 500)
    assert read(payments, stripe.refund(session_id, 300)) == Refunded(payment, 8_000_000, "USD")
    failed = read(payments, stripe.refund_fails(session_id, 300))
    assert (type(failed), failed.payment_id, failed.amount_micro) == (RefundFailed, payment, 3_000_000)
    created = stripe.dispute(session_id)
    told = read(payments, created)
    assert told == Disputed(payment, created["data"]["object"]["id"], 20_000_000, "USD", DisputeState.TAKEN)
    for status, state in (("won", "won"), ("lost", "taken"), ("warning_closed", "asked"), ("under_review", "taken")):
        assert read(payments, stripe.dispute_ends(created, status)).state == state


def test_what_is_none_of_ours_says_nothing(payments: Payments, stripe: StripeDouble) -> None:
    assert read(payments, stripe.event("customer.created", {"id": "cus_1", "object": "customer"})) is None
    subscription = {
        "id": "cs_1",
        "mode": "subscription",
        "payment_status": "paid",
        "amount_total": 5,
        "currency": "usd",
    }
    assert read(payments, stripe.event("checkout.session.completed", subscription)) is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"id": 5, "type": "x", "data": {"object": {}}}', b'{"id": "e", "type": "x"}',
             b'{"id":"e","type":"charge.refunded","data":{"object":{"payment_intent":"p","amount_refunded":1.5,"currency":"usd"}}}',
             b'{"id":"e","type":"charge.dispute.created","data":{"object":[]}}', b"\xff\xfe", b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_event_is_refused(payments: Payments, body: bytes) -> None:
    with pytest.raises(PaymentsRefused):
        payments.read(body)


# --- who tells it


def verify(payments: Payments, body: bytes, headers: dict[str, str], now: datetime = NOW) -> None:
    payments.verify(body, {name.lower(): value for name, value in headers.items()}, now=now)


def test_a_signature_holds_for_its_message_alone(payments: Payments) -> None:
    body, headers = signed({"id": "evt_1"}, at=NOW.timestamp())
    verify(payments, body, headers)
    for wrong in (body + b" ", body.replace(b"1", b"2"), b""):
        with pytest.raises(NotGenuine):
            verify(payments, wrong, headers)


def test_one_of_several_signatures_is_enough(payments: Payments) -> None:
    verify(payments, *signed({"id": "evt_1"}, at=NOW.timestamp(), others=("whsec_new", "whsec_older")))
    with pytest.raises(NotGenuine):
        verify(payments, *signed({"id": "evt_1"}, at=NOW.timestamp(), secret="whsec_new", others=("whsec_older",)))


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)])
def test_a_signature_is_five_minutes_old_at_most(payments: Payments, seconds: int, taken: bool) -> None:
    body, headers = signed({"id": "evt_1"}, at=NOW.timestamp())
    then = NOW + timedelta(seconds=seconds)
    if taken:
        verify(payments, body, headers, then)
    else:
        with pytest.raises(NotGenuine):
            verify(payments, body, headers, then)


@pytest.mark.parametrize("header", [
    "", "t=", "v1=abc", "t=abc,v1=abc", "t=-5,v1=x", "t=1,t=2,v1=x", "t=٣,v1=x", f"t={'9' * 400},v1=x",
    "t=1772366400,v1=", "t=1772366400,v1=ü", "t=1772366400", "," * 5000, "t=1772366400,v0=" + "0" * 64,
])  # fmt: skip
def test_a_header_that_is_none_is_refused(payments: Payments, header: str) -> None:
    with pytest.raises(NotGenuine):
        verify(payments, b"{}", {"Stripe-Signature": header})


def test_an_older_scheme_does_not_count(payments: Payments) -> None:
    body, headers = signed({"id": "evt_1"}, at=NOW.timestamp())
    with pytest.raises(NotGenuine):
        verify(payments, body, {"Stripe-Signature": headers["Stripe-Signature"].replace("v1=", "v0=")})


def test_without_a_secret_nothing_is_genuine(stripe: StripeDouble) -> None:
    payments = StripePayments(Secret(KEY), api=stripe.url)
    with pytest.raises(NotGenuine):
        verify(payments, *signed({"id": "evt_1"}, at=NOW.timestamp(), secret=""))
    assert WEBHOOK_SECRET
