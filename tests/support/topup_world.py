"""A platform that takes cards: its API, a double of Stripe, and the part of the worker that enters payments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from api_under_test import Api, MakesApi, Person
from stripe_double import KEY, WEBHOOK_SECRET, Json, StripeDouble, signed

from skypanel.billing.cashier import Cashier
from skypanel.billing.ledger import balance, check
from skypanel.billing.models import LedgerJournal, PaymentEvent, Topup
from skypanel.db import Database
from skypanel.drivers.payments.stripe import StripePayments
from skypanel.jobs import Job
from skypanel.kit.secret import Secret

HOOK = "/api/hooks/stripe"


@dataclass
class Shop:
    api: Api
    stripe: StripeDouble
    cashier: Cashier
    ada: Person

    @property
    def database(self) -> Database:
        return self.api.database

    def begin(self, amount: str = "20", *, by: Person | None = None) -> str:
        """The session of a new top-up."""
        answer = (by or self.ada).post("/api/paas/wallet/topup", {"amount": amount})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"].rpartition("/")[2])

    def deliver(self, event: Json | bytes, *, late_s: float = 0, secret: str = WEBHOOK_SECRET) -> httpx2.Response:
        body, headers = signed(event, at=self.api.clock.now().timestamp() - late_s, secret=secret)
        return self.api.client.post(HOOK, content=body, headers=headers)

    def work(self) -> None:
        """What the worker does of the jobs that wait."""
        with self.database.transaction() as session:
            waiting = sa.select(Job).where(Job.kind == "payments.event").order_by(Job.created_at, Job.id)
            jobs = list(session.scalars(waiting))
            for job in jobs:
                session.delete(job)
        for job in jobs:
            self.cashier.handle(job.args["event_id"])

    def told(self, *events: Json) -> None:
        """Delivered and handled, one after the other."""
        for event in events:
            assert self.deliver(event).status_code == 200
            self.work()

    def held(self, organization: str | None = None) -> int:
        """Of the wallet, in whole units of the currency, beyond the thousand that everybody begins with."""
        with self.database.reading() as session:
            assert check(session) == []
            micro = balance(session, organization or self.ada.organization["id"]) - 1_000_000_000
            assert micro % 10_000 == 0
            return micro // 1_000_000 if micro % 1_000_000 == 0 else micro

    def journals(self) -> list[LedgerJournal]:
        with self.database.reading() as session:
            query = sa.select(LedgerJournal).where(LedgerJournal.kind == "payment")
            return list(session.scalars(query.order_by(LedgerJournal.id)))

    def event(self, event: Json) -> PaymentEvent:
        with self.database.reading() as session:
            return session.get_one(PaymentEvent, event["id"])

    def topup(self, session_id: str) -> Topup:
        with self.database.reading() as session:
            return session.scalars(sa.select(Topup).where(Topup.session_id == session_id)).one()

    def change(self, statement: Any) -> None:
        with self.database.transaction() as session:
            session.execute(statement)


def make_shop(make_api: MakesApi, database: Database, stripe: StripeDouble, payments: StripePayments) -> Shop:
    api = make_api(database, payments=payments, public_url="https://panel.example.com")
    cashier = Cashier(database, api.clock, payments)
    return Shop(api, stripe, cashier, api.register("ada@example.com", "Engines"))


@pytest.fixture
def stripe() -> Iterator[StripeDouble]:
    with StripeDouble() as double:
        yield double


@pytest.fixture
def payments(stripe: StripeDouble) -> Iterator[StripePayments]:
    with contextlib.closing(StripePayments(Secret(KEY), Secret(WEBHOOK_SECRET), api=stripe.url)) as driver:
        yield driver


@pytest.fixture
def shop(make_api: MakesApi, each_database: Database, stripe: StripeDouble, payments: StripePayments) -> Shop:
    """Once on SQLite and once on PostgreSQL."""
    return make_shop(make_api, each_database, stripe, payments)
