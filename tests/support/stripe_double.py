"""Stripe as its documentation describes it, on a port of this machine: Checkout sessions, idempotency keys, errors, and
events that are signed and delivered late, twice, in any order, or by somebody else.

docs.stripe.com: /api/checkout/sessions, /api/idempotent_requests, /api/errors, /currencies, /webhooks,
/checkout/fulfillment, /api/charges/object, /api/disputes/object. A test plays the payer: `pay`, `refund`, `dispute`.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

KEY = "sk_test_51double"
WEBHOOK_SECRET = "whsec_of_the_double"
ZERO_DECIMAL = {
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
}  # fmt: skip
THREE_DECIMAL = {"BHD", "JOD", "KWD", "OMR", "TND"}
Json = dict[str, Any]


class StripeError(Exception):
    def __init__(self, status: int, type_: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"type": type_, "message": message, "code": code}}


@dataclass
class StripeDouble:
    """`with StripeDouble() as stripe:`; `url` is its API's address."""

    sessions: dict[str, Json] = field(default_factory=dict)
    charges: dict[str, Json] = field(default_factory=dict)  # by payment intent
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # of the next requests: "500", "429", "lose", "hang up", "html"
    pause_s: float = 0  # before a request is answered

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._saved: dict[str, tuple[Any, int, Json]] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> StripeDouble:
        double = self

        class Handler(_Handler):
            stripe = double

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def new(self, prefix: str) -> str:
        return f"{prefix}_test_{next(self._numbers):024d}"

    # --- the API

    def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, Json, bool]:
        """Status, content, and whether it is one that was saved."""
        if headers.get("authorization") != f"Bearer {KEY}":
            raise StripeError(401, "invalid_request_error", "Invalid API Key provided: sk_****")
        if method == "GET":
            found = self.sessions.get(path.rpartition("/")[2])
            if not path.startswith("/v1/checkout/sessions/") or found is None:
                raise StripeError(404, "invalid_request_error", f"No such checkout.session: {path}", "resource_missing")
            return 200, found, False
        if path != "/v1/checkout/sessions":
            raise StripeError(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path})")
        return self._once(headers.get("idempotency-key"), parse_qsl(body, strict_parsing=True))

    def _once(self, key: str | None, parameters: list[tuple[str, str]]) -> tuple[int, Json, bool]:
        """What has been executed is saved, errors included; what failed validation is not."""
        if key is None:
            return 200, self._create(dict(parameters)), False
        with self._lock:
            if key in self._busy:
                raise StripeError(
                    409, "idempotency_error", "Another request is using this key.", "idempotency_key_in_use"
                )
            if key in self._saved:
                before, status, content = self._saved[key]
                if before != parameters:
                    raise StripeError(
                        400,
                        "idempotency_error",
                        "Keys for idempotent requests can only be used with the same parameters.",
                    )
                return status, content, True
            self._busy.add(key)
        try:
            time.sleep(self.pause_s)
            content = self._create(dict(parameters))
            self._saved[key] = (parameters, 200, content)
            return 200, content, False
        finally:
            self._busy.discard(key)

    def _create(self, form: dict[str, str]) -> Json:
        for name in ("mode", "success_url", "line_items[0][quantity]", "line_items[0][price_data][currency]",
                     "line_items[0][price_data][product_data][name]"):  # fmt: skip
            if not form.get(name):
                raise StripeError(400, "invalid_request_error", f"Missing required param: {name}.", "parameter_missing")
        if not re.match(r"https?://", form["success_url"]):
            raise StripeError(400, "invalid_request_error", "Not a valid URL", "url_invalid")
        currency = form["line_items[0][price_data][currency]"]
        amount = self._amount(form["line_items[0][price_data][unit_amount]"], currency)
        session = {
            "id": self.new("cs"), "object": "checkout.session", "mode": form["mode"], "status": "open",
            "payment_status": "unpaid", "amount_total": amount * int(form["line_items[0][quantity]"]),
            "currency": currency, "client_reference_id": form.get("client_reference_id"), "payment_intent": None,
            "metadata": {m[1]: v for k, v in form.items() if (m := re.fullmatch(r"metadata\[(\w+)\]", k))},
            "customer_email": form.get("customer_email"), "created": int(time.time()),
            "expires_at": int(time.time()) + 86_400,
        }  # fmt: skip
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        self.sessions[str(session["id"])] = session
        return session

    def _amount(self, text: str, currency: str) -> int:
        if not re.fullmatch(r"[0-9]{1,8}", text):
            raise StripeError(400, "invalid_request_error", f"Invalid integer: {text}", "parameter_invalid_integer")
        if currency != currency.lower():
            raise StripeError(400, "invalid_request_error", f"Invalid currency: {currency}")
        amount = int(text)
        exact = 10 if currency.upper() in THREE_DECIMAL else 100 if currency.upper() in ("ISK", "UGX") else 1
        if amount % exact:
            raise StripeError(
                400, "invalid_request_error", "Invalid amount.", "invalid_charge_amount_no_decimal_compatible"
            )
        if amount < (1 if currency.upper() in ZERO_DECIMAL else 50):
            raise StripeError(400, "invalid_request_error", "The amount must be at least …", "amount_too_small")
        return amount

    # --- what happens to a session, each time with the event that tells of it

    def pay(self, session_id: str, *, delayed: bool = False) -> Json:
        """`delayed`: the payer has done his part, the money takes days."""
        session = self.sessions[session_id]
        session.update(status="complete", payment_intent=self.new("pi"), url=None)
        session["payment_status"] = "unpaid" if delayed else "paid"
        charge = {
            "id": self.new("ch"), "object": "charge", "amount": session["amount_total"], "amount_refunded": 0,
            "currency": session["currency"], "payment_intent": session["payment_intent"], "refunded": False,
        }  # fmt: skip
        self.charges[session["payment_intent"]] = charge
        return self.event("checkout.session.completed", session)

    def arrive(self, session_id: str, *, well: bool = True) -> Json:
        """The money of a delayed payment; or word that it will not come."""
        session = self.sessions[session_id]
        session["payment_status"] = "paid" if well else "unpaid"
        return self.event(f"checkout.session.async_payment_{'succeeded' if well else 'failed'}", session)

    def expire(self, session_id: str) -> Json:
        session = self.sessions[session_id]
        session.update(status="expired", url=None)
        return self.event("checkout.session.expired", session)

    def refund(self, session_id: str, amount: int) -> Json:
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        return self.event("charge.refunded", charge)

    def refund_fails(self, session_id: str, amount: int) -> Json:
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        return self.event("refund.failed", {
            "id": self.new("re"), "object": "refund", "amount": amount, "currency": charge["currency"],
            "charge": charge["id"], "payment_intent": charge["payment_intent"], "status": "failed",
            "failure_reason": "expired_or_canceled_card",
        })  # fmt: skip

    def dispute(self, session_id: str, *, status: str = "needs_response", amount: int | None = None) -> Json:
        charge = self.charges[self.sessions[session_id]["payment_intent"]]
        return self.event("charge.dispute.created", {
            "id": self.new("du"), "object": "dispute", "amount": amount or charge["amount"], "charge": charge["id"],
            "currency": charge["currency"], "payment_intent": charge["payment_intent"], "status": status,
        })  # fmt: skip

    def dispute_ends(self, created: Json, status: str) -> Json:
        return self.event("charge.dispute.closed", {**created["data"]["object"], "status": status})

    def event(self, kind: str, thing: Json) -> Json:
        """A snapshot: what happens later does not change it."""
        return json.loads(json.dumps({
            "id": self.new("evt"), "object": "event", "api_version": "2025-03-31.basil", "created": int(time.time()),
            "livemode": False, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": kind,
            "data": {"object": thing},
        }))  # fmt: skip


def signed(
    event: Json | bytes, *, at: float, secret: str = WEBHOOK_SECRET, others: tuple[str, ...] = ()
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a delivery; `others`: further secrets, while one is being replaced."""
    body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
    marks = [hmac.new(each.encode(), f"{int(at)}.".encode() + body, hashlib.sha256) for each in (*others, secret)]
    header = ",".join(
        [f"t={int(at)}", *(f"v1={mark.hexdigest()}" for mark in marks), "v0=6ffbb59b2300aae63f272406069a"]
    )
    return body, {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}


class _Handler(BaseHTTPRequestHandler):
    stripe: StripeDouble
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def _do(self, method: str) -> None:
        stripe, headers = self.stripe, {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0))).decode()
        if self.path.startswith("/play/pay-and-refund/"):  # for payers in another process
            session_id = self.path.rpartition("/")[2]
            self._say(200, json.dumps([stripe.pay(session_id), stripe.refund(session_id, 500)]).encode(), {})
            return
        stripe.requests.append((method, self.path, headers))
        failure = stripe.failures.pop(0) if stripe.failures else None
        if failure == "hang up":
            self.close_connection = True
            return
        if failure in ("500", "429"):
            self._say(int(failure), {"error": {"type": "api_error", "message": "Something went wrong."}}, {})
            return
        if failure == "html":
            self._say(200, b"<html>a proxy</html>", {})
            return
        try:
            status, content, replayed = stripe.answer(method, self.path, headers, body)
        except StripeError as error:
            self._say(error.status, error.body, {})
            return
        if failure == "lose":  # done, and the answer gets lost
            self.close_connection = True
            return
        self._say(status, content, {"Idempotent-Replayed": "true"} if replayed else {})

    def _say(self, status: int, content: Json | bytes, headers: dict[str, str]) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Request-Id": "req_double"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
