"""kill -9 between any two steps of a top-up: begun, told, entered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stripe_double import StripeDouble

from skypanel.billing.ledger import balance, check
from skypanel.db import Database
from skypanel.kit.clock import FakeClock
from skypanel.orgs.models import Organization

SCRIPT = Path(__file__).with_name("killed_payments.py")


@pytest.mark.timeout(600)
def test_a_payment_is_entered_once_wherever_its_process_is_killed(database: Database, stripe: StripeDouble) -> None:
    with database.transaction() as session:
        session.add(Organization(id="acme", slug="acme", name="Acme", created_at=FakeClock().now()))
    support = str(Path(__file__).parents[2] / "support")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), database.url, stripe.url], capture_output=True, text=True, timeout=550,
        env={**os.environ, "PYTHONPATH": support},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout)
    for part, least in (("begin", 8), ("told", 40)):
        assert sum(each["part"] == part and not each["lived"] for each in results) >= least
    for each in results:
        assert each["journals"] == ["", ":refunded:5000000"], each
        assert (each["state"], each["unhandled"]) == ("paid", 0), each
    with database.reading() as session:
        assert check(session) == []
        assert balance(session, "acme") == 15_000_000 * len(results)
    assert len(stripe.sessions) == len(results)
