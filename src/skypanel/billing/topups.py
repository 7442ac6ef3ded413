"""A top-up by card: written down first, then a page at the payment provider, whose address is kept.

The provider is asked between two transactions: nobody waits for the database while it takes its time. Whoever dies in
between leaves a top-up that nobody can pay, or asks again with the same key and gets the same page.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.billing.models import Topup, TopupState
from skypanel.db import Database, Session
from skypanel.db.upsert import upsert
from skypanel.drivers.payments.port import Checkout, Payments, PaymentsFailed, PaymentsRefused, Started
from skypanel.errors import FieldError, Invalid, TooMany, Unavailable
from skypanel.kit.clock import Clock
from skypanel.kit.ids import new_id
from skypanel.kit.money import MICRO, to_decimal_string
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.access import Viewer

log = logging.getLogger(__name__)
UNPAID_PER_HOUR = 20
FIRST_LOOK = timedelta(minutes=10)  # by then a message of the provider has come
FORGOTTEN = timedelta(hours=25)  # no session lives longer than a day


@dataclass(frozen=True)
class TopupLimits:
    least_micro: int = 5 * MICRO
    most_micro: int = 5_000 * MICRO


@dataclass(frozen=True)
class Desk:
    """Where top-ups begin. `page`: where the payer comes back to."""

    database: Database
    clock: Clock
    payments: Payments
    currency: str
    limits: TopupLimits
    page: str

    def start(self, viewer: Viewer, *, amount_micro: int, key: str | None = None) -> Topup:
        """With the address to pay at. The same `key` gets the same one. Raises Invalid, TooMany (`topup_rate`) and
        Unavailable (`payments_failed`)."""
        self._check(amount_micro)
        with self.database.transaction() as session:
            topup = self._written(session, viewer, amount_micro, key)
        if topup.url is not None:
            return topup
        started = self._asked(topup, viewer)
        with self.database.transaction() as session:
            topup = session.get_one(Topup, topup.id, with_for_update=True)
            topup.session_id, topup.url = started.session_id, started.url
            if topup.state == TopupState.NEW:
                topup.state, topup.ask_at = TopupState.OPEN, self.clock.now() + FIRST_LOOK
        return topup

    def _check(self, amount_micro: int) -> None:
        unit = self.payments.unit(self.currency)
        least, most = (to_decimal_string(each) for each in (self.limits.least_micro, self.limits.most_micro))
        wrong = None
        if not self.limits.least_micro <= amount_micro <= self.limits.most_micro:
            wrong = f"must be {least} to {most} {self.currency}"
        elif amount_micro % unit:
            wrong = f"must be a multiple of {to_decimal_string(unit)} {self.currency}"
        if wrong is not None:
            raise Invalid(f"The amount {wrong}.", errors=[FieldError("amount", wrong)])

    def _written(self, session: Session, viewer: Viewer, amount_micro: int, key: str | None) -> Topup:
        now, topup_id = self.clock.now(), new_id()
        insert = upsert(session, Topup)
        made = session.execute(
            insert.values(
                id=topup_id, organization_id=viewer.organization_id, request_key=key, amount_micro=amount_micro,
                currency=self.currency, state=TopupState.NEW.value, refunded_micro=0, created_by=viewer.email,
                created_at=now, ask_at=now + FORGOTTEN,
            )
            .on_conflict_do_nothing(index_elements=["request_key"])
            .returning(Topup.id)
        ).one_or_none()  # fmt: skip
        if made is not None:
            _require_rate(session, viewer.organization_id, now=now)
            return session.get_one(Topup, topup_id)
        earlier = session.scalars(sa.select(Topup).where(Topup.request_key == key)).one()
        if (earlier.organization_id, earlier.amount_micro) != (viewer.organization_id, amount_micro):
            raise Invalid(
                "This Idempotency-Key was used for another top-up; use a new one.", code="idempotency_key_reused",
                errors=[FieldError("Idempotency-Key", "was used for another request")],
            )  # fmt: skip
        return earlier

    def _asked(self, topup: Topup, viewer: Viewer) -> Started:
        amount = f"{to_decimal_string(topup.amount_micro)} {topup.currency}"
        checkout = Checkout(
            reference=topup.id, organization_id=topup.organization_id, amount_micro=topup.amount_micro,
            currency=topup.currency, description="Top-up of the wallet", email=viewer.email,
            success_url=f"{self.page}?topup=paid", cancel_url=f"{self.page}?topup=cancelled",
        )  # fmt: skip
        try:
            return self.payments.start(checkout)
        except PaymentsRefused as error:
            # Its words are for the operator: a wrong key, an amount below what the currency's cards allow.
            log.error("the top-up %s of %s was refused: %s", topup.id, amount, error)
            with self.database.transaction() as session:
                refused = session.get_one(Topup, topup.id, with_for_update=True)
                if refused.state == TopupState.NEW:
                    refused.state, refused.ask_at, refused.settled_at = TopupState.FAILED, None, self.clock.now()
            raise Unavailable(
                "The payment provider does not take this payment; the platform's log says why.", code="payments_failed"
            ) from error
        except PaymentsFailed as error:
            log.warning("the top-up %s of %s has no page: %s", topup.id, amount, error)
            raise Unavailable(
                "The payment provider does not answer; try again in a moment.", code="payments_failed"
            ) from error


def _require_rate(session: Session, organization_id: str, *, now: datetime) -> None:
    query = sa.select(sa.func.count()).where(
        Topup.organization_id == organization_id, Topup.created_at > now - timedelta(hours=1),
        Topup.state != TopupState.PAID,
    )  # fmt: skip
    if (session.scalar(query) or 0) > UNPAID_PER_HOUR:
        raise TooMany(
            f"{UNPAID_PER_HOUR} top-ups were begun within an hour and not paid.", code="topup_rate", retry_after_s=600
        )


def list_topups(session: Session, organization_id: str, *, limit: int, cursor: str | None) -> Page[Topup]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = sa.select(Topup).where(Topup.organization_id == organization_id).order_by(Topup.id.desc())
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Topup.id < str(last))
    found = list(session.scalars(query.limit(limit + 1)))
    return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)
