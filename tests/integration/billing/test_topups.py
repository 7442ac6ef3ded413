"""Money by card: begun, paid, sent back, disputed; told twice, late, in any order or not at all."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from api_under_test import MakesApi
from stripe_double import StripeDouble
from topup_world import Shop

from skypanel.activity.record import PLATFORM_ACTOR
from skypanel.billing.cashier import GIVEN_UP, NOT_OURS
from skypanel.billing.credit import enter
from skypanel.billing.ledger import state_of
from skypanel.billing.models import JournalKind, PaymentEvent, Topup
from skypanel.billing.running_dry import FUNDS, suspend
from skypanel.db import Database
from skypanel.jobs import Engine, Job, JobKind
from skypanel.orgs.models import Organization

TOPUP, TOPUPS = "/api/paas/wallet/topup", "/api/paas/wallet/topups"


def test_a_payment_is_in_the_wallet_once_it_is_told(shop: Shop) -> None:
    session_id = shop.begin("20.50")
    assert shop.held() == 0
    shop.told(shop.stripe.pay(session_id))
    assert shop.held() == 20_500_000
    (journal,) = shop.journals()
    assert (journal.key, journal.author) == (f"stripe:{session_id}", "ada@example.com")
    assert shop.topup(session_id).state == "paid"


def test_the_list_shows_what_became_of_each(shop: Shop) -> None:
    first, second = shop.begin("20"), shop.begin("30")
    shop.told(shop.stripe.pay(first))
    shop.told(shop.stripe.refund(first, 500))
    newest, oldest = shop.ada.get(TOPUPS).json()["items"]
    assert (newest["state"], newest["amount"], newest["url"].rpartition("/")[2]) == ("open", "30.00", second)
    assert (oldest["state"], oldest["refunded"], oldest["url"]) == ("paid", "5.00", None)
    assert oldest["settled_at"] is not None
    page = shop.ada.get(f"{TOPUPS}?limit=1").json()
    assert shop.ada.get(f"{TOPUPS}?limit=1&cursor={page['next_cursor']}").json()["items"] == [oldest]
    viewer = shop.api.join(shop.ada, "vic@example.com", "viewer")
    assert {each["url"] for each in viewer.get(TOPUPS).json()["items"]} == {None}


def test_without_keys_nobody_can_pay(make_api: MakesApi, each_database: Database) -> None:
    api = make_api(each_database)
    ada = api.register("ada@example.com", "Engines")
    answer = ada.post(TOPUP, {"amount": "20"})
    assert (answer.status_code, answer.json()["code"]) == (409, "payments_unavailable")
    assert ada.get(TOPUPS).json()["items"] == []
    assert api.client.post("/api/hooks/stripe", content=b"{}").status_code == 404


def test_a_top_up_asked_for_twice_with_one_key_is_one(shop: Shop) -> None:
    key = {"Idempotency-Key": "k1"}
    first = shop.ada.post(TOPUP, {"amount": "20"}, headers=key)
    assert shop.ada.post(TOPUP, {"amount": "20"}, headers=key).json() == first.json()
    other = shop.ada.post(TOPUP, {"amount": "30"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(shop.stripe.sessions) == 1
    bob = shop.api.register("bob@example.com", "Globex")
    assert bob.post(TOPUP, {"amount": "20"}, headers=key).json() != first.json()


def test_a_provider_that_is_away_is_asked_again_for_the_same_page(shop: Shop) -> None:
    shop.stripe.failures = ["lose", "500"]
    key = {"Idempotency-Key": "k1"}
    for _ in range(2):
        answer = shop.ada.post(TOPUP, {"amount": "20"}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "payments_failed")
    assert shop.ada.post(TOPUP, {"amount": "20"}, headers=key).status_code == 200
    assert len(shop.stripe.sessions) == 1


def test_while_the_provider_takes_its_time_others_write(shop: Shop) -> None:
    """On SQLite a transaction that is open keeps every writer out."""
    shop.stripe.pause_s = 1.5
    thread = threading.Thread(target=shop.begin)
    thread.start()
    while not shop.stripe.requests:
        pass
    begun = threading.Event()
    with shop.database.transaction() as session:
        session.execute(sa.update(Organization).values(name="Written"))
        begun.set()
    assert not shop.stripe.sessions
    thread.join()
    assert len(shop.stripe.sessions) == 1


def test_unpaid_top_ups_are_limited(shop: Shop) -> None:
    paid = [shop.begin() for _ in range(20)]
    answer = shop.ada.post(TOPUP, {"amount": "20"})
    assert (answer.status_code, answer.json()["code"]) == (429, "topup_rate")
    shop.told(shop.stripe.pay(paid[0]))
    shop.begin()
    shop.api.clock.advance(timedelta(hours=2))
    shop.begin()


# --- told twice, late, in any order, or not at all


def test_every_order_of_what_is_told_of_a_payment_ends_the_same(shop: Shop) -> None:
    """Paid late, refunded twice and a dispute won: 24 orders of the messages, each told twice."""
    for number, order in enumerate(itertools.permutations(range(4)), start=1):
        session_id = shop.begin("20")
        paid = shop.stripe.pay(session_id)
        refunds = [shop.stripe.refund(session_id, 300), shop.stripe.refund(session_id, 200)]
        events = [paid, *refunds, shop.stripe.dispute(session_id, amount=700)]
        shop.told(*(events[each] for each in order))
        shop.told(*(events[each] for each in order))
        assert shop.held() == number * (20 - 5 - 7), order
        assert all(shop.event(each).handled_at is not None for each in events)
        shop.change(sa.update(Topup).values(created_at=shop.api.clock.now() - timedelta(hours=2)))


def test_a_payment_that_takes_days_counts_when_it_arrives(shop: Shop) -> None:
    session_id = shop.begin()
    completed = shop.stripe.pay(session_id, delayed=True)
    shop.told(completed)
    assert (shop.held(), shop.topup(session_id).state) == (0, "open")
    arrived = shop.stripe.arrive(session_id)
    shop.told(arrived, completed, arrived)
    assert (shop.held(), len(shop.journals())) == (20, 1)


def test_a_payment_that_does_not_arrive_is_failed(shop: Shop) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id, delayed=True), shop.stripe.arrive(session_id, well=False))
    assert (shop.held(), shop.topup(session_id).state) == (0, "failed")


def test_a_lost_message_loses_no_money(shop: Shop) -> None:
    session_id, expired, open_ = shop.begin("20"), shop.begin("30"), shop.begin("40")
    shop.stripe.pay(session_id)
    shop.stripe.expire(expired)
    shop.cashier.look()
    assert shop.held() == 0  # a message may be on its way
    shop.api.clock.advance(timedelta(minutes=11))
    shop.cashier.look()
    assert shop.held() == 20
    assert [shop.topup(each).state for each in (session_id, expired, open_)] == ["paid", "expired", "open"]
    late = shop.stripe.event("checkout.session.completed", shop.stripe.sessions[session_id])
    shop.told(late)
    assert (shop.held(), len(shop.journals())) == (20, 1)


def test_open_top_ups_are_asked_for_ever_more_rarely_and_no_longer_in_the_end(shop: Shop) -> None:
    session_id = shop.begin()
    shop.stripe.pay(session_id, delayed=True)
    asked = 0
    while shop.topup(session_id).ask_at is not None:
        shop.api.clock.advance(timedelta(minutes=20))
        before = len(shop.stripe.requests)
        shop.cashier.look()
        asked += len(shop.stripe.requests) - before
        if asked > 3:
            shop.api.clock.advance(timedelta(days=3))
    assert asked < 40
    assert shop.topup(session_id).state == "failed"
    assert shop.api.clock.now() - shop.topup(session_id).created_at > GIVEN_UP
    shop.told(shop.stripe.arrive(session_id))  # money is money
    assert shop.held() == 20


def test_a_provider_that_is_away_is_asked_at_the_next_turn(shop: Shop) -> None:
    session_id = shop.begin()
    shop.stripe.pay(session_id)
    shop.api.clock.advance(timedelta(minutes=11))
    shop.stripe.failures = ["500"]
    shop.cashier.look()
    assert shop.held() == 0
    shop.cashier.look()
    assert shop.held() == 20


def test_a_message_whose_job_was_lost_is_handled_by_the_clock(shop: Shop) -> None:
    event = shop.stripe.pay(shop.begin())
    shop.deliver(event)
    shop.change(sa.delete(Job))
    shop.api.clock.advance(timedelta(minutes=3))
    shop.cashier.look()
    assert shop.held() == 20


def test_a_top_up_that_never_got_a_page_is_forgotten(shop: Shop) -> None:
    shop.stripe.failures = ["500"]
    shop.ada.post(TOPUP, {"amount": "20"})
    shop.api.clock.advance(timedelta(hours=26))
    shop.cashier.look()
    with shop.database.reading() as session:
        assert list(session.scalars(sa.select(Topup.state))) == ["failed"]


def test_a_session_that_nobody_wrote_down_is_known_by_its_reference(shop: Shop) -> None:
    """Whoever had asked for it died before he could; it cannot have been paid, but nothing may be lost."""
    session_id = shop.begin()
    shop.change(sa.update(Topup).values(session_id=None, url=None, state="new"))
    shop.told(shop.stripe.pay(session_id))
    assert (shop.held(), shop.topup(session_id).state) == (20, "paid")


def test_the_worker_enters_what_the_webhook_keeps(shop: Shop) -> None:
    event = shop.stripe.pay(shop.begin())
    handled = threading.Event()

    def handle(_ctx: object, *, event_id: str) -> None:
        shop.cashier.handle(event_id)
        handled.set()

    engine = Engine(shop.database, worker="w", queues={"billing": 1}, handlers={"payments.event": JobKind(handle)})
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        shop.deliver(event)
        assert handled.wait(20)
    finally:
        engine.stop(grace_s=5)
        thread.join()
    assert shop.held() == 20


# --- money that goes back


def test_refunds_take_their_difference_once(shop: Shop) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id))
    first, second = shop.stripe.refund(session_id, 500), shop.stripe.refund(session_id, 1500)
    shop.told(second, first, second)
    assert (shop.held(), len(shop.journals())) == (0, 2)


@pytest.mark.parametrize(
    ("status", "ends", "left"),
    [
        ("needs_response", "lost", 0), ("needs_response", "won", 20), ("under_review", "won", 20),
        ("warning_needs_response", "warning_closed", 20), ("warning_needs_response", "lost", 0),
    ],
)  # fmt: skip
def test_a_dispute_takes_the_money_until_it_is_won(shop: Shop, status: str, ends: str, left: int) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id))
    created = shop.stripe.dispute(session_id, status=status)
    closed = shop.stripe.dispute_ends(created, ends)
    shop.told(created)
    assert shop.held() == (20 if status.startswith("warning") else 0)
    shop.told(closed, created, closed)
    assert shop.held() == left


def test_a_dispute_won_before_it_was_heard_of_changes_nothing(shop: Shop) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id))
    created = shop.stripe.dispute(session_id)
    shop.told(shop.stripe.dispute_ends(created, "won"), created)
    assert shop.held() == 20


def test_a_refund_that_fails_is_for_somebody_to_look_at(shop: Shop) -> None:
    session_id = shop.begin()
    shop.told(shop.stripe.pay(session_id), shop.stripe.refund(session_id, 500))
    event = shop.stripe.refund_fails(session_id, 500)
    shop.told(event)
    assert (shop.event(event).outcome, shop.held()) == ("flagged", 15)


def test_refunds_of_other_business_on_the_account_are_let_go_in_time(shop: Shop) -> None:
    charge = {"object": "charge", "payment_intent": "pi_other", "amount_refunded": 5, "currency": "usd"}
    event = shop.stripe.event("charge.refunded", charge)
    shop.told(event)
    assert shop.event(event).handled_at is None
    shop.api.clock.advance(NOT_OURS + timedelta(hours=1))
    shop.cashier.look()
    assert shop.event(event).outcome == "ignored"


# --- what money does


def test_a_payment_wakes_what_only_lacked_money(shop: Shop) -> None:
    home = shop.ada.organization["id"]
    with shop.database.transaction() as session:
        organization = session.get_one(Organization, home)
        suspend(session, organization, FUNDS, by=PLATFORM_ACTOR, now=shop.api.clock.now())
    shop.told(shop.stripe.pay(shop.begin()))
    with shop.database.transaction() as session:
        assert session.get_one(Organization, home).status == "active"
        assert state_of(session, home).suspended_for is None


def test_a_dispute_that_empties_the_wallet_suspends(shop: Shop) -> None:
    home = shop.ada.organization["id"]
    session_id = shop.begin("1500")
    shop.told(shop.stripe.pay(session_id))
    with shop.database.transaction() as session:
        enter(
            session, session.get_one(Organization, home), kind=JournalKind.ADJUSTMENT, amount_micro=-2_000_000_000,
            reason="used up", by=PLATFORM_ACTOR, now=shop.api.clock.now(), currency="USD",
        )  # fmt: skip
    shop.told(shop.stripe.dispute(session_id))
    with shop.database.reading() as session:
        assert session.get_one(Organization, home).status == "suspended"


def test_unknown_messages_are_kept_and_ignored(shop: Shop, stripe: StripeDouble) -> None:
    strange = stripe.event("customer.created", {"id": "cus_1", "object": "customer"})
    other = stripe.event("checkout.session.completed", {
        "id": "cs_other", "mode": "payment", "status": "complete", "payment_status": "paid", "amount_total": 500,
        "currency": "usd", "payment_intent": "pi_other", "client_reference_id": "order-7", "metadata": {},
    })  # fmt: skip
    shop.told(strange, other)
    assert [shop.event(each).outcome for each in (strange, other)] == ["ignored", "ignored"]
    assert shop.held() == 0
    with shop.database.reading() as session:
        assert "customer.created" in session.get_one(PaymentEvent, strange["id"]).payload
