"""A payment whose process is killed before its n-th statement or commit, or after a commit, for n from the first to
the last; then what the provider and the clock do anyway. `killed_payments.py <database> <stripe>` prints what came of
each.

One process for each n, forked from this one, which never opens the database itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from stripe_double import KEY, WEBHOOK_SECRET

from skypanel.billing.cashier import Cashier, receive
from skypanel.billing.models import LedgerJournal, PaymentEvent, Topup
from skypanel.billing.topups import Desk, TopupLimits
from skypanel.db import Database
from skypanel.drivers.payments.stripe import StripePayments
from skypanel.kit.clock import FakeClock
from skypanel.kit.secret import Secret
from skypanel.orgs.access import Viewer
from skypanel.orgs.models import Role

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIEWER = Viewer("u", "ada@example.com", "acme", Role.OWNER)
database_url, stripe_url = sys.argv[1:]


class Platform:
    def __init__(self) -> None:
        self.database = Database(database_url)
        self.clock = FakeClock(NOW)
        payments = StripePayments(Secret(KEY), Secret(WEBHOOK_SECRET), api=stripe_url)
        self.payments = payments
        self.cashier = Cashier(self.database, self.clock, payments)
        self.desk = Desk(self.database, self.clock, payments, "USD", TopupLimits(), "http://localhost/wallet")

    def begin(self, key: str) -> str:
        topup = self.desk.start(VIEWER, amount_micro=20_000_000, key=key)
        assert topup.session_id is not None
        return topup.session_id

    def told(self, told: list[dict[str, Any]]) -> None:
        """As the webhook and the worker: each message is kept, then handled."""
        for each in told:
            body = json.dumps(each).encode()
            with self.database.transaction() as session:
                receive(session, self.payments.read(body), body.decode(), now=NOW)
            self.cashier.handle(each["id"])


def killed_at(platform: Platform, n: int) -> None:
    """From now on this process dies at the n-th step."""
    left = [n]

    def step(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = platform.database.engine
    for moment in ("before_cursor_execute", "commit"):
        event.listen(engine, moment, step)
    event.listen(engine, "checkin", step)  # a connection goes back: its commit is through


PLATFORM = Platform()  # without a connection; the children's are their own


def forked(work: Callable[[Platform], Any], *, dies_at: int | None = None) -> tuple[bool, Any]:
    """Whether it lived, and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if dies_at is not None:
            killed_at(PLATFORM, dies_at)
        said = json.dumps(work(PLATFORM)).encode()
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    lived = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
    assert lived or os.WIFSIGNALED(status), "it failed by itself"
    return lived, json.loads(said) if lived else None


def play(verb: str, session_id: str) -> list[dict[str, Any]]:
    """The payer's part, at the double."""
    with urllib.request.urlopen(f"{stripe_url}/play/{verb}/{session_id}", data=b"") as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def books(key: str) -> Callable[[Platform], Any]:
    def look(platform: Platform) -> Any:
        with platform.database.reading() as session:
            topup = session.scalars(sa.select(Topup).where(Topup.request_key == key)).one()
            mine = LedgerJournal.key.startswith(f"stripe:{topup.session_id}")
            left = sa.select(PaymentEvent.id).where(PaymentEvent.handled_at.is_(None))
            keys = sorted(each.removeprefix(f"stripe:{topup.session_id}") for each in
                          session.scalars(sa.select(LedgerJournal.key).where(mine)))  # fmt: skip
            return {"state": topup.state, "journals": keys, "unhandled": len(list(session.scalars(left)))}

    return look


def main() -> None:
    results = []
    for part in ("begin", "told"):
        n, lived = 0, False
        while not lived:
            n += 1
            key = f"{part}-{n}"
            if part == "begin":
                lived, _ = forked(lambda platform, key=key: platform.begin(key), dies_at=n)
            _, session_id = forked(lambda platform, key=key: platform.begin(key))
            told = play("pay-and-refund", session_id)
            if part == "told":
                lived, _ = forked(lambda platform, told=told: platform.told(told), dies_at=n)
            forked(lambda platform, told=told: platform.told(told))
            results.append({"part": part, "n": n, "lived": lived, **forked(books(key))[1]})
    print(json.dumps(results))


main()
