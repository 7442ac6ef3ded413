"""What the platform asks of a payment provider: a page where somebody pays, and word of what became of it.

PaymentsFailed     the provider did not answer, or not well; the same again later may help
PaymentsRefused    it will not, however often it is asked; the message says why
NotGenuine         a message that the provider has not sent, or not just now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class PaymentsFailed(Exception):
    """Asking again, with the same reference, does nothing twice."""


class PaymentsRefused(Exception):
    pass


class NotGenuine(Exception):
    pass


@dataclass(frozen=True)
class Checkout:
    """What somebody shall pay. `reference`: ours; the same one gets the same session, however often it is asked for."""

    reference: str
    organization_id: str
    amount_micro: int
    currency: str  # ISO 4217, capital letters
    description: str
    email: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True)
class Started:
    session_id: str
    url: str


class SessionState(StrEnum):
    OPEN = "open"  # nobody has paid yet; or somebody did by a way that takes days
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class CheckoutSession:
    """`reference` and `organization_id` as they were given; None where the provider was told none. `payment_id`: by
    which refunds and disputes name it; None before anything was paid."""

    id: str
    reference: str | None
    organization_id: str | None
    amount_micro: int
    currency: str
    state: SessionState
    payment_id: str | None


@dataclass(frozen=True)
class Refunded:
    """`total_micro`: of all refunds of this payment so far."""

    payment_id: str
    total_micro: int
    currency: str


@dataclass(frozen=True)
class RefundFailed:
    """Money that was sent back did not arrive, and is the platform's again."""

    payment_id: str
    refund_id: str
    amount_micro: int
    currency: str


class DisputeState(StrEnum):
    ASKED = "asked"  # the bank only asks, or it came to nothing: no money has moved
    TAKEN = "taken"  # the bank has taken the money back, for now or for good
    WON = "won"  # and returned it


@dataclass(frozen=True)
class Disputed:
    payment_id: str
    dispute_id: str
    amount_micro: int
    currency: str
    state: DisputeState


@dataclass(frozen=True)
class Event:
    """`about` is None for what is none of ours. `kind`: the provider's own word. Events come late, more than once and
    in any order."""

    id: str
    kind: str
    about: CheckoutSession | Refunded | RefundFailed | Disputed | None

    @property
    def payment_id(self) -> str | None:
        return None if self.about is None else self.about.payment_id


class Payments(Protocol):
    def unit(self, currency: str) -> int:
        """Micro-units that every amount must be a multiple of."""
        ...

    def start(self, checkout: Checkout) -> Started:
        """Raises PaymentsFailed and PaymentsRefused."""
        ...

    def session(self, session_id: str) -> CheckoutSession:
        """As it is now. Raises PaymentsFailed and PaymentsRefused."""
        ...

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        """That the provider has sent this, and just now. `headers`: names in small letters. Raises NotGenuine."""
        ...

    def read(self, body: bytes) -> Event:
        """What a message says that has been verified. Raises PaymentsRefused for what is no event."""
        ...
