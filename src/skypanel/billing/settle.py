"""What the payment provider says of a payment, entered into the books once: paid, sent back, disputed.

Words come late, twice and in any order, so each is compared with what is known, under a lock on the top-up, and each
entry has a key of its own. What does not fit is flagged and moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, Actor
from skypanel.billing.credit import enter
from skypanel.billing.models import JournalKind, LedgerJournal, Outcome, PaymentEvent, Topup, TopupState
from skypanel.billing.running_dry import after_charge
from skypanel.db import Session
from skypanel.drivers.payments.port import (
    CheckoutSession,
    Disputed,
    DisputeState,
    Refunded,
    RefundFailed,
    SessionState,
)
from skypanel.jobs import enqueue
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.models import Organization

ENDED = {SessionState.FAILED: TopupState.FAILED, SessionState.EXPIRED: TopupState.EXPIRED}


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    note: str = ""


def topup_of(session: Session, found: CheckoutSession) -> Topup | None:
    """Locked. By our reference where its session has not been written down: whoever asked for it died."""
    query = sa.select(Topup).where(
        sa.or_(Topup.session_id == found.id, sa.and_(Topup.session_id.is_(None), Topup.id == found.reference))
    )
    return session.scalars(query.order_by(Topup.session_id.is_(None)).with_for_update()).first()


def settle(session: Session, topup: Topup, found: CheckoutSession, *, now: datetime) -> Verdict:
    """`topup` is locked. Enters the money when it is paid, whatever was thought of it before."""
    wrong = _mismatch(topup, found)
    if wrong is not None:
        return Verdict(Outcome.FLAGGED, wrong)
    if topup.state == TopupState.PAID or found.state == SessionState.OPEN:
        return Verdict(Outcome.NOTED)
    topup.session_id, topup.ask_at, topup.settled_at = found.id, None, now
    if found.state != SessionState.PAID:
        topup.state = ENDED[found.state]
        return Verdict(Outcome.NOTED)
    topup.state, topup.payment_id = TopupState.PAID, found.payment_id
    session.flush()
    _enter(
        session, topup, topup.amount_micro, key=_key(topup), reason="paid by card", by=Actor(topup.created_by), now=now
    )
    _wake_waiting(session, found.payment_id)
    return Verdict(Outcome.ENTERED)


def _mismatch(topup: Topup, found: CheckoutSession) -> str | None:
    for what, known, said in (
        ("session", topup.session_id or found.id, found.id),
        ("reference", topup.id, found.reference),
        ("organization", topup.organization_id, found.organization_id),
        ("amount", topup.amount_micro, found.amount_micro),
        ("currency", topup.currency, found.currency),
    ):
        if known != said:
            return f"the {what} of top-up {topup.id} is {known}, not {said}"
    return None


def take_back(session: Session, about: Refunded | Disputed | RefundFailed, *, now: datetime) -> Verdict | None:
    """None: nothing is known of the payment yet; its message may come later."""
    query = sa.select(Topup).where(Topup.payment_id == about.payment_id).with_for_update()
    topup = session.scalars(query).one_or_none()
    if topup is None:
        return None
    amount = about.total_micro if isinstance(about, Refunded) else about.amount_micro
    if about.currency != topup.currency or not 0 <= amount <= topup.amount_micro:
        said = f"{to_decimal_string(amount)} {about.currency}"
        return Verdict(Outcome.FLAGGED, f"{said} of top-up {topup.id} is more than was paid, or another currency")
    if isinstance(about, RefundFailed):
        said = f"{to_decimal_string(amount)} {about.currency}"
        return Verdict(
            Outcome.FLAGGED, f"refund {about.refund_id} of {said} for top-up {topup.id} did not arrive: adjust by hand"
        )
    if isinstance(about, Disputed):
        return _disputed(session, topup, about, now=now)
    more = about.total_micro - topup.refunded_micro
    if more <= 0:
        return Verdict(Outcome.NOTED)
    topup.refunded_micro = about.total_micro
    key = f"{_key(topup)}:refunded:{about.total_micro}"
    _enter(session, topup, -more, key=key, reason="sent back to the card", by=PLATFORM_ACTOR, now=now)
    return Verdict(Outcome.ENTERED)


def _disputed(session: Session, topup: Topup, about: Disputed, *, now: datetime) -> Verdict:
    """A dispute that was won before anybody heard of it is entered in both directions: what comes late finds it so."""
    if about.state == DisputeState.ASKED or about.amount_micro == 0:
        return Verdict(Outcome.NOTED)
    entries = [(f"{_key(topup)}:dispute:{about.dispute_id}", -about.amount_micro, "disputed at the bank")]
    if about.state == DisputeState.WON:
        entries.append((f"{_key(topup)}:dispute:{about.dispute_id}:won", about.amount_micro, "the dispute was won"))
    entered = False
    for key, amount, reason in entries:
        if session.scalar(sa.select(LedgerJournal.id).where(LedgerJournal.key == key)) is None:
            _enter(session, topup, amount, key=key, reason=reason, by=PLATFORM_ACTOR, now=now)
            entered = True
    return Verdict(Outcome.ENTERED if entered else Outcome.NOTED)


def _key(topup: Topup) -> str:
    """Of the payment in the ledger: the provider's, so that one payment is one entry whatever tells of it."""
    return f"stripe:{topup.session_id}"


def _enter(
    session: Session, topup: Topup, amount_micro: int, *, key: str, reason: str, by: Actor, now: datetime
) -> None:
    organization = session.get_one(Organization, topup.organization_id)
    enter(
        session, organization, kind=JournalKind.PAYMENT, amount_micro=amount_micro, reason=reason, by=by, now=now,
        currency=topup.currency, key=key,
    )  # fmt: skip
    if amount_micro < 0:
        after_charge(session, {topup.organization_id}, currency=topup.currency, now=now)


def _wake_waiting(session: Session, payment_id: str | None) -> None:
    """Messages of refunds and disputes that came before the payment's own."""
    if payment_id is None:
        return
    waiting = sa.select(PaymentEvent.id).where(
        PaymentEvent.payment_id == payment_id, PaymentEvent.handled_at.is_(None)
    )  # fmt: skip
    for event_id in session.scalars(waiting.order_by(PaymentEvent.received_at)):
        request_handling(session, event_id)


def request_handling(session: Session, event_id: str) -> None:
    enqueue(session, kind="payments.event", queue="billing", args={"event_id": event_id})
