"""The inbox of the payment provider's messages, and the question what became of top-ups that no message told of."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from skypanel.billing.models import Outcome, PaymentEvent, Topup, TopupState
from skypanel.billing.settle import Verdict, request_handling, settle, take_back, topup_of
from skypanel.billing.topups import FIRST_LOOK
from skypanel.db import Database, Session
from skypanel.db.upsert import upsert
from skypanel.drivers.payments.port import CheckoutSession, Event, Payments, PaymentsFailed, PaymentsRefused
from skypanel.kit.clock import Clock
from skypanel.kit.paging import Page, decode_cursor, encode_cursor

log = logging.getLogger(__name__)
LEFT_BEHIND = timedelta(minutes=2)  # a message's own job has had its turn by then
NOT_OURS = timedelta(days=4)  # messages are repeated for three days; until then a payment's own may come
GIVEN_UP = timedelta(days=60)  # of a payment that takes its time
PORTION = 100


def receive(session: Session, event: Event, payload: str, *, now: datetime) -> bool:
    """Keeps a verified message and asks for its handling, in the caller's transaction; False when it had been kept."""
    kept = session.execute(
        upsert(session, PaymentEvent)
        .values(
            id=event.id, kind=event.kind[:120], payment_id=event.payment_id, payload=payload, received_at=now,
            handled_at=None, outcome=None, note=None,
        )
        .on_conflict_do_nothing()
        .returning(PaymentEvent.id)
    ).one_or_none()  # fmt: skip
    if kept is None:
        return False
    request_handling(session, event.id)
    return True


def list_events(session: Session, *, outcome: Outcome | None, limit: int, cursor: str | None) -> Page[PaymentEvent]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = sa.select(PaymentEvent).order_by(PaymentEvent.received_at.desc(), PaymentEvent.id.desc()).limit(limit + 1)
    if outcome is not None:
        query = query.where(PaymentEvent.outcome == outcome)
    if cursor is not None:
        moment, last = decode_cursor(cursor, size=2)
        received = datetime.fromtimestamp(float(moment), UTC)
        query = query.where(
            sa.or_(
                PaymentEvent.received_at < received,
                sa.and_(PaymentEvent.received_at == received, PaymentEvent.id < str(last)),
            )
        )
    found = list(session.scalars(query))
    end = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], None if end is None else encode_cursor(end.received_at.timestamp(), end.id))


@dataclass(frozen=True)
class Cashier:
    database: Database
    clock: Clock
    payments: Payments

    def handle(self, event_id: str) -> None:
        """Once, however often it is called, by however many."""
        with self.database.transaction() as session:
            event = session.get(PaymentEvent, event_id, with_for_update=True)
            if event is None or event.handled_at is not None:
                return
            verdict = self._verdict(session, event)
            if verdict is None:
                return
            event.handled_at, event.outcome, event.note = self.clock.now(), verdict.outcome, verdict.note or None
        if verdict.outcome == Outcome.FLAGGED:
            log.error("the payment message %s (%s) was not entered: %s", event_id, event.kind, verdict.note)

    def _verdict(self, session: Session, event: PaymentEvent) -> Verdict | None:
        now = self.clock.now()
        about = self.payments.read(event.payload.encode()).about
        if about is None:
            return Verdict(Outcome.IGNORED)
        if isinstance(about, CheckoutSession):
            topup = topup_of(session, about)
            if topup is not None:
                return settle(session, topup, about, now=now)
            return self._stranger(session, about)
        found = take_back(session, about, now=now)
        if found is None and event.received_at + NOT_OURS < now:
            return Verdict(Outcome.IGNORED, "no top-up has this payment")
        return found

    def _stranger(self, session: Session, about: CheckoutSession) -> Verdict:
        """Of another program with the same account; or one that claims a top-up whose session is another."""
        claimed = None if about.reference is None else session.get(Topup, about.reference)
        if claimed is None:
            return Verdict(Outcome.IGNORED, "no top-up has this session")
        return Verdict(Outcome.FLAGGED, f"the session of top-up {claimed.id} is {claimed.session_id}, not {about.id}")

    def look(self) -> None:
        """Asks what became of open top-ups, and handles messages whose job was lost."""
        self._handle_left_behind()
        while due := self._due():
            for topup_id, session_id in due:
                if session_id is None:
                    self._forget(topup_id)
                elif not self._ask(topup_id, session_id):
                    return

    def _handle_left_behind(self) -> None:
        query = sa.select(PaymentEvent.id).where(
            PaymentEvent.handled_at.is_(None), PaymentEvent.received_at < self.clock.now() - LEFT_BEHIND
        )  # fmt: skip
        with self.database.reading() as session:
            left = list(session.scalars(query.order_by(PaymentEvent.received_at)))
        for event_id in left:
            self.handle(event_id)

    def _due(self) -> list[tuple[str, str | None]]:
        query = sa.select(Topup.id, Topup.session_id).where(Topup.ask_at <= self.clock.now())
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Topup.ask_at).limit(PORTION))
            return [(topup_id, session_id) for topup_id, session_id in rows]

    def _forget(self, topup_id: str) -> None:
        """Nobody ever got its page."""
        with self.database.transaction() as session:
            topup = session.get_one(Topup, topup_id, with_for_update=True)
            if topup.session_id is None and topup.state == TopupState.NEW:
                topup.state, topup.settled_at, topup.ask_at = TopupState.FAILED, self.clock.now(), None

    def _ask(self, topup_id: str, session_id: str) -> bool:
        """False when the provider is away: the others wait, too."""
        found, why = None, ""
        try:
            found = self.payments.session(session_id)
        except PaymentsFailed as error:
            log.warning("open top-ups are asked for later: %s", error)
            return False
        except PaymentsRefused as error:
            why = str(error)
        now = self.clock.now()
        with self.database.transaction() as session:
            topup = session.get_one(Topup, topup_id, with_for_update=True)
            if topup.ask_at is None:
                return True
            verdict = Verdict(Outcome.FLAGGED, why) if found is None else settle(session, topup, found, now=now)
            if verdict.outcome == Outcome.FLAGGED:
                _flag(session, topup, verdict.note, now=now)
            if topup.ask_at is not None:
                _ask_later(topup, now=now)
        return True


def _ask_later(topup: Topup, *, now: datetime) -> None:
    """Ever more rarely: what takes days does not need to be known in minutes."""
    age = now - topup.created_at
    if age > GIVEN_UP:
        topup.state, topup.settled_at, topup.ask_at = TopupState.FAILED, now, None
    else:
        topup.ask_at = now + max(FIRST_LOOK, age / 4)


def _flag(session: Session, topup: Topup, note: str, *, now: datetime) -> None:
    """Where messages that do not fit are looked for, too."""
    log.error("the top-up %s could not be settled: %s", topup.id, note)
    session.execute(
        upsert(session, PaymentEvent)
        .values(
            id=f"asked:{topup.id}", kind="asked", payment_id=None, payload="{}", received_at=now, handled_at=now,
            outcome=Outcome.FLAGGED.value, note=note,
        )
        .on_conflict_do_nothing()
    )  # fmt: skip
