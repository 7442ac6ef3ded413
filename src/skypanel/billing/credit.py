"""Money that people move: credits, adjustments and refunds by the platform's admins, payments by card, caps."""

from __future__ import annotations

from datetime import datetime

from skypanel.activity.record import Actor, record
from skypanel.billing.ledger import Entry, post, state_of
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import refilled
from skypanel.db import Session
from skypanel.errors import FieldError, Invalid
from skypanel.kit.ids import new_id
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.models import Organization

LARGEST_MICRO = 1_000_000_000 * 1_000_000
MANUAL = (JournalKind.CREDIT, JournalKind.ADJUSTMENT, JournalKind.REFUND)


def enter(
    session: Session, organization: Organization, *, kind: JournalKind, amount_micro: int, reason: str, by: Actor,
    now: datetime, currency: str, key: str | None = None,
) -> str:  # fmt: skip
    """The id of the journal. A credit or refund adds; an adjustment may take, and so does a payment that is sent back
    or disputed. `key`: of what must not happen twice. An organization that only lacked money is resumed. Raises
    Invalid, and IntegrityError for a key that has been used."""
    plain = " ".join(reason.split())
    errors = []
    if amount_micro == 0 or abs(amount_micro) > LARGEST_MICRO:
        errors.append(FieldError("amount", "must not be zero, nor more than a thousand million"))
    elif amount_micro < 0 and kind not in (JournalKind.ADJUSTMENT, JournalKind.PAYMENT):
        errors.append(FieldError("amount", f"of a {kind} must be positive; an adjustment may be negative"))
    if not 3 <= len(plain) <= 500:
        errors.append(FieldError("reason", "must have 3 to 500 characters"))
    if errors:
        raise Invalid(f"{errors[0].field.capitalize()} {errors[0].message}.", errors=errors)
    entry = Entry(
        organization.id, kind, amount_micro, key or f"{kind}:{new_id()}", plain, by.name
    )  # fmt: skip
    journal_id = post(session, entry, currency=currency, now=now)
    amount = f"{to_decimal_string(amount_micro)} {currency}"
    record(
        session, organization_id=organization.id, by=by, verb=f"wallet.{kind}",
        on=("wallet", organization.id, organization.name), message=f"{kind} of {amount}: {plain}", now=now,
        detail={"amount": amount, "journal_id": journal_id},
    )  # fmt: skip
    if amount_micro > 0:
        refilled(session, organization, by=by, now=now, currency=currency)
    return journal_id


def set_cap(
    session: Session, organization: Organization, *, cap_micro: int | None, by: Actor, now: datetime, currency: str
) -> None:
    """The most it may spend in a month of UTC; None: no cap. What only the cap had stopped is resumed. Raises
    Invalid."""
    if cap_micro is not None and not 0 < cap_micro <= LARGEST_MICRO:
        raise Invalid("The cap must be more than nothing.", errors=[FieldError("cap", "must be positive")])
    state = state_of(session, organization.id)
    if state.cap_micro == cap_micro:
        return
    state.cap_micro = cap_micro
    said = "removed the spending cap" if cap_micro is None else (
        f"set the spending cap to {to_decimal_string(cap_micro)} {currency} a month"
    )  # fmt: skip
    record(
        session, organization_id=organization.id, by=by, verb="wallet.cap",
        on=("wallet", organization.id, organization.name), message=said, now=now,
    )  # fmt: skip
    session.flush()
    refilled(session, organization, by=by, now=now, currency=currency)


def set_billed(
    session: Session, organization: Organization, *, billed: bool, by: Actor, now: datetime, currency: str
) -> None:
    """Whether its wallet pays from the next charge on. What only lacked money is resumed when it need not pay."""
    if organization.billed == billed:
        return
    state_of(session, organization.id)  # locked before the organization's row, as charges do
    organization.billed = billed
    record(
        session, organization_id=organization.id, by=by, verb="organization.billing_changed",
        on=("organization", organization.id, organization.name), now=now, detail={"billed": billed},
        message=f"{by.name} lets {organization.name} {'pay for' if billed else 'use for free'} what runs",
    )  # fmt: skip
    session.flush()
    refilled(session, organization, by=by, now=now, currency=currency)
