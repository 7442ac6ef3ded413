"""Stripe Checkout over its REST API: two calls and a signature (why not its package: docs/decisions/0001).

docs.stripe.com/api/checkout/sessions, /api/idempotent_requests, /webhooks#verify-manually, /currencies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from skypanel.drivers.payments import units
from skypanel.drivers.payments.port import (
    Checkout,
    CheckoutSession,
    Disputed,
    DisputeState,
    Event,
    NotGenuine,
    PaymentsFailed,
    PaymentsRefused,
    Refunded,
    RefundFailed,
    SessionState,
    Started,
)
from skypanel.kit.secret import Secret

API = "https://api.stripe.com"
VERSION = "2025-03-31.basil"
TOLERANCE_S = 300
TIMEOUT = httpx.Timeout(15, connect=5)
SESSIONS = "/v1/checkout/sessions"
DISPUTES = {
    "needs_response": DisputeState.TAKEN, "under_review": DisputeState.TAKEN, "lost": DisputeState.TAKEN,
    "won": DisputeState.WON,
}  # fmt: skip
Json = dict[str, Any]


class StripePayments:
    """`webhook_secret`: None where no webhook is set up; every message is refused then."""

    def __init__(self, key: Secret, webhook_secret: Secret | None = None, *, api: str = API) -> None:
        self._webhook_secret = webhook_secret
        headers = {"Authorization": f"Bearer {key.reveal()}", "Stripe-Version": VERSION}
        self._http = httpx.Client(base_url=api, headers=headers, timeout=TIMEOUT, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def unit(self, currency: str) -> int:
        return units.step(currency)

    def start(self, checkout: Checkout) -> Started:
        try:
            form = _form(checkout)
        except ValueError as error:
            raise PaymentsRefused(str(error)) from error
        made = self._ask("POST", SESSIONS, data=form, headers={"Idempotency-Key": checkout.reference})
        try:
            return Started(_text(made, "id"), _text(made, "url", most=8192))
        except (KeyError, TypeError) as error:
            raise PaymentsFailed("Stripe does not answer like Stripe") from error

    def session(self, session_id: str) -> CheckoutSession:
        try:
            found = _session(self._ask("GET", f"{SESSIONS}/{quote(session_id, safe='')}"))
        except (KeyError, TypeError) as error:
            raise PaymentsFailed("Stripe does not answer like Stripe") from error
        if found is None:
            raise PaymentsRefused(f"{session_id} is no payment")
        return found

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        if self._webhook_secret is None:
            raise NotGenuine("no webhook is set up")
        parts = [part.partition("=")[::2] for part in headers.get("stripe-signature", "").split(",")]
        times = [value for name, value in parts if name.strip() == "t"]
        if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12):
            raise NotGenuine("the signature has no time")
        mac = hmac.new(self._webhook_secret.reveal().encode(), times[0].encode() + b"." + body, hashlib.sha256)
        expected = mac.hexdigest().encode()
        # Several while a secret is being replaced. All are compared: which one it was takes no time to find out.
        given = [value.strip().encode() for name, value in parts if name.strip() == "v1"]
        if sum(hmac.compare_digest(expected, each) for each in given) == 0:
            raise NotGenuine("the signature is wrong")
        if abs(now.timestamp() - int(times[0])) > TOLERANCE_S:
            raise NotGenuine("the signature is not of the last five minutes; is the clock right?")

    def read(self, body: bytes) -> Event:
        try:
            content = orjson.loads(body)
            about = _about(content["type"], content["data"]["object"])
            return Event(_text(content, "id"), _text(content, "type"), about)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PaymentsRefused("this is no event of Stripe") from error

    def _ask(self, method: str, path: str, **options: Any) -> Json:
        try:
            answer = self._http.request(method, path, **options)
            content = orjson.loads(answer.content)
        except httpx.HTTPError as error:
            raise PaymentsFailed(f"Stripe does not answer: {type(error).__name__}") from error
        except ValueError as error:
            raise PaymentsFailed("Stripe does not answer like Stripe") from error
        if answer.is_success and isinstance(content, dict):
            return content
        said = content.get("error", {}) if isinstance(content, dict) else {}
        message = f"Stripe answered {answer.status_code}: {said.get('code') or said.get('type')}: {said.get('message')}"
        # 401 and 403: the operator mends his key. 409: another request with this reference is under way.
        if answer.status_code in (401, 403, 409, 429) or not 400 <= answer.status_code < 500:
            raise PaymentsFailed(message)
        raise PaymentsRefused(message)


def _form(checkout: Checkout) -> dict[str, str]:
    """Raises ValueError for an amount that cannot be charged exactly."""
    item = "line_items[0]"
    return {
        "mode": "payment",
        "client_reference_id": checkout.reference,
        "metadata[organization_id]": checkout.organization_id,
        "customer_email": checkout.email,
        "success_url": checkout.success_url,
        "cancel_url": checkout.cancel_url,
        "adaptive_pricing[enabled]": "false",  # the customer pays in our currency, so that amounts can be compared
        f"{item}[quantity]": "1",
        f"{item}[price_data][currency]": checkout.currency.lower(),
        f"{item}[price_data][unit_amount]": str(units.to_minor(checkout.amount_micro, checkout.currency)),
        f"{item}[price_data][product_data][name]": checkout.description,
    }


def _about(kind: str, thing: Json) -> CheckoutSession | Refunded | RefundFailed | Disputed | None:
    if kind.startswith("checkout.session."):
        found = _session(thing)
        if found is not None and kind == "checkout.session.async_payment_failed":
            return replace(found, state=SessionState.FAILED)
        return found
    if kind.startswith("charge.dispute."):
        return _dispute(thing)
    if kind == "charge.refunded" and thing.get("payment_intent"):
        return Refunded(_id(thing["payment_intent"]), *_money(thing, "amount_refunded"))
    if kind in ("refund.failed", "charge.refund.updated") and thing.get("status") == "failed":
        return RefundFailed(_id(thing["payment_intent"]), _text(thing, "id"), *_money(thing, "amount"))
    return None


def _session(thing: Json) -> CheckoutSession | None:
    if thing.get("mode") != "payment" or thing.get("amount_total") is None:
        return None  # a subscription, or cards to keep: another program's
    if thing["payment_status"] == "paid":
        state = SessionState.PAID
    else:
        state = SessionState.EXPIRED if thing["status"] == "expired" else SessionState.OPEN
    payment = thing.get("payment_intent")
    amount, currency = _money(thing, "amount_total")
    return CheckoutSession(
        id=_text(thing, "id"), reference=thing.get("client_reference_id"),
        organization_id=(thing.get("metadata") or {}).get("organization_id"), amount_micro=amount, currency=currency,
        state=state, payment_id=None if payment is None else _id(payment),
    )  # fmt: skip


def _dispute(thing: Json) -> Disputed | None:
    if not thing.get("payment_intent"):
        return None
    state = DISPUTES.get(thing["status"], DisputeState.ASKED)
    amount, currency = _money(thing, "amount")
    return Disputed(_id(thing["payment_intent"]), _text(thing, "id"), amount, currency, state)


def _money(thing: Json, name: str) -> tuple[int, str]:
    """In micro-units. Raises TypeError for what is no integer."""
    amount, currency = thing[name], _text(thing, "currency").upper()
    if type(amount) is not int:
        raise TypeError(f"{name} is no integer")
    return units.from_minor(amount, currency), currency


def _id(thing: Any) -> str:
    """Of an object, or of one that was expanded."""
    return _text(thing, "id") if isinstance(thing, dict) else str(thing)


def _text(thing: Json, name: str, *, most: int = 255) -> str:
    value = thing[name]
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise TypeError(f"{name} is no text")
    return value
