"""Every payment driver, beside a double of its provider. One more driver is one more parameter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from stripe_double import KEY, WEBHOOK_SECRET, StripeDouble

from skypanel.drivers.payments.port import Payments
from skypanel.drivers.payments.stripe import StripePayments
from skypanel.kit.secret import Secret


@pytest.fixture
def stripe() -> Iterator[StripeDouble]:
    with StripeDouble() as double:
        yield double


@pytest.fixture
def payments(stripe: StripeDouble) -> Iterator[Payments]:
    with contextlib.closing(StripePayments(Secret(KEY), Secret(WEBHOOK_SECRET), api=stripe.url)) as driver:
        yield driver
