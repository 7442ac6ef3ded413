"""A wallet that runs dry: told at 72 and 24 hours, all put to rest at zero, woken when it is filled again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import PLATFORM_ACTOR, Actor, record
from skypanel.apps.models import App, Wanted
from skypanel.billing.forecast import burns, cost_with, hours_left, kept_bytes, month_of
from skypanel.billing.ledger import balance, balances, state_of
from skypanel.billing.models import AccountKind, LedgerAccount, LedgerJournal, LedgerPosting, WalletState
from skypanel.db import Session
from skypanel.deployments.standing import standing_of
from skypanel.deployments.suspend import resume_apps, suspend_apps
from skypanel.errors import Conflict
from skypanel.jobs import enqueue
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.models import Organization, OrganizationStatus

MARKS = (72, 24)  # hours of funds left
WELL_ABOVE = 1.25  # times a mark: from there on it is warned of anew; hours left waver with what runs
FUNDS, CAP, ADMIN = "funds", "cap", "admin"
TOLD = {
    FUNDS: "Its wallet is empty: refill it, and everything comes back as it was.",
    CAP: "It has spent its cap of this month: raise the cap, and everything comes back as it was.",
    ADMIN: "The platform's admin has suspended it.",
}


def after_charge(session: Session, organizations: Collection[str], *, currency: str, now: datetime) -> None:
    """Looks at wallets that have just paid, in the same transaction: nobody runs on for free because somebody died."""
    if not organizations:
        return
    left, burning = balances(session, organizations), burns(session, organizations)
    states = _states(session, organizations)
    spent = _spent(session, [each for each, state in states.items() if state.cap_micro is not None], month_of(now))
    query = sa.select(Organization).where(
        Organization.id.in_(organizations), Organization.billed, Organization.status == OrganizationStatus.ACTIVE
    )
    for organization in session.scalars(query.order_by(Organization.id)):
        state = states.get(organization.id)
        if left[organization.id] <= 0 and (burning[organization.id] or left[organization.id] < 0):
            suspend(session, organization, FUNDS, by=PLATFORM_ACTOR, now=now)
        elif state is not None and state.cap_micro is not None and spent[organization.id] >= state.cap_micro:
            suspend(session, organization, CAP, by=PLATFORM_ACTOR, now=now)
        else:
            hours = hours_left(left[organization.id], burning[organization.id])
            _warn(session, organization, state, hours, left[organization.id], currency, now)


def _states(session: Session, organizations: Collection[str]) -> Mapping[str, WalletState]:
    query = sa.select(WalletState).where(WalletState.organization_id.in_(organizations))
    return {state.organization_id: state for state in session.scalars(query)}


def _spent(session: Session, organizations: Collection[str], month: datetime) -> Mapping[str, int]:
    """What hours of the month have cost, in micro-units: only they have an hour in the ledger."""
    if not organizations:
        return {}
    query = (
        sa.select(LedgerJournal.organization_id, sa.func.sum(LedgerPosting.amount_micro))
        .join(LedgerPosting, LedgerPosting.journal_id == LedgerJournal.id)
        .join(LedgerAccount, LedgerAccount.id == LedgerPosting.account_id)
        .where(
            LedgerJournal.organization_id.in_(organizations), LedgerJournal.hour >= month,
            LedgerAccount.kind == AccountKind.WALLET,
        )
        .group_by(LedgerJournal.organization_id)
    )  # fmt: skip
    found = {each: -int(amount) for each, amount in session.execute(query)}
    return {each: found.get(each, 0) for each in organizations}


def _warn(
    session: Session, organization: Organization, state: WalletState | None, hours: int | None, left: int,
    currency: str, now: datetime,
) -> None:  # fmt: skip
    """Once for each mark, until the wallet is filled again or lasts well beyond it."""
    warned = None if state is None else state.warned_hours
    mark = _mark(hours, warned)
    if mark == warned:
        return
    state_of(session, organization.id).warned_hours = mark
    if mark is None or (warned is not None and mark > warned):
        return
    amount = f"{to_decimal_string(left)} {currency}"
    _tell(
        session, organization, "wallet.low", f"{amount} last for {hours} hours more at today's use", PLATFORM_ACTOR,
        now, hours_left=hours,
    )  # fmt: skip


def _mark(hours: int | None, warned: int | None) -> int | None:
    """The lowest mark that hours are below, or have not left far enough since it was warned of."""
    if hours is None:
        return warned  # for a moment nothing serves, or for long: the wallet has what it had
    known = [mark for mark in MARKS if warned is not None and warned <= mark and hours < mark * WELL_ABOVE]
    return min([mark for mark in MARKS if hours < mark] + known, default=None)


def _tell(
    session: Session, organization: Organization, verb: str, message: str, by: Actor, now: datetime, **detail: object
) -> None:
    record(
        session, organization_id=organization.id, by=by, verb=verb,
        on=("wallet", organization.id, organization.name), message=message, now=now, detail=detail,
    )  # fmt: skip
    enqueue(
        session, kind="mail.owners", queue="upkeep",
        args={"organization_id": organization.id, "subject": f"{organization.name}: {message}", "text": message},
    )  # fmt: skip


def suspend(session: Session, organization: Organization, why: str, *, by: Actor, now: datetime) -> None:
    """Everything of it that runs is put to rest. Idempotent; a reason that is graver replaces the other."""
    state = _held(session, organization)
    if organization.status == OrganizationStatus.SUSPENDED:
        if why == ADMIN:
            state.suspended_for = ADMIN
        return
    organization.status = OrganizationStatus.SUSPENDED
    state.suspended_for, state.suspended_at = why, now
    count = suspend_apps(session, organization.id, by=by, now=now)
    message = f"{organization.name} is suspended, with {count} application{'s' * (count != 1)}. {TOLD[why]}"
    _tell(session, organization, "organization.suspended", message, by, now, why=why, apps=count)


def resume(
    session: Session, organization: Organization, *, by: Actor, now: datetime, currency: str, as_admin: bool = False
) -> None:
    """As it was. What the platform's admin has suspended only an admin resumes (`as_admin`). Raises
    Conflict (`not_suspended`, `suspended_by_admin`, `funds_missing`, `cap_reached`)."""
    state = _held(session, organization)
    if organization.status != OrganizationStatus.SUSPENDED:
        raise Conflict(f"{organization.name} is not suspended.", code="not_suspended")
    if not as_admin and state.suspended_for == ADMIN:
        raise Conflict(f"{TOLD[ADMIN]} Only the admin resumes it.", code="suspended_by_admin")
    why = what_hinders(session, organization, now=now, currency=currency)
    if why is not None:
        raise why
    _resume(session, organization, state, by=by, now=now)


def _held(session: Session, organization: Organization) -> WalletState:
    """Of its wallet, locked, with the status as it is under that lock: between the organization's load and the lock
    somebody may have suspended or resumed it."""
    state = state_of(session, organization.id)
    session.refresh(organization, ["status"])
    return state


def _resume(session: Session, organization: Organization, state: WalletState, *, by: Actor, now: datetime) -> None:
    organization.status = OrganizationStatus.ACTIVE
    state.suspended_for = state.suspended_at = None
    count = resume_apps(session, organization.id)
    message = f"{organization.name} is active again, with {count} application{'s' * (count != 1)}"
    _tell(session, organization, "organization.resumed", message, by, now, apps=count)


def what_hinders(session: Session, organization: Organization, *, now: datetime, currency: str) -> Conflict | None:
    """Why it cannot be resumed now; None when it can."""
    if not organization.billed:
        return None
    left, cap = balance(session, organization.id), _states(session, [organization.id]).get(organization.id)
    needed = hour_when_resumed(session, organization.id)
    if left <= 0 or left < needed:
        return Conflict(
            f"The wallet has {to_decimal_string(left)} {currency}, and an hour of what was running costs "
            f"{to_decimal_string(needed)} {currency}. Refill it first.",
            code="funds_missing",
        )
    month, most = month_of(now), None if cap is None else cap.cap_micro
    if most is not None and _spent(session, [organization.id], month)[organization.id] >= most:
        return Conflict("Its cap of this month is spent. Raise the cap first.", code="cap_reached")
    return None


def resume_with_the_month(session: Session, *, now: datetime, currency: str) -> int:
    """Those that had only spent the cap of a month that is over; how many."""
    query = (
        sa.select(Organization)
        .join(WalletState, WalletState.organization_id == Organization.id)
        .where(WalletState.suspended_for == CAP, WalletState.suspended_at < month_of(now))
        .order_by(Organization.id)
    )
    return sum(
        refilled(session, organization, by=PLATFORM_ACTOR, now=now, currency=currency)
        for organization in session.scalars(query)
    )


def hour_when_resumed(session: Session, organization_id: str) -> int:
    """What an hour costs when everything that was suspended runs again, in micro-units. What was never deployed does
    not run, however many replicas it shall have."""
    query = sa.select(App).where(
        App.organization_id == organization_id, App.deleted_at.is_(None), App.wanted == Wanted.SUSPENDED
    )
    apps = list(session.scalars(query))
    standing = standing_of(session, apps)
    replicas = {
        app.id: 0 if app.current_deployment_id is None else sum(standing[app.id].formation.values()) for app in apps
    }
    return sum(cost_with(app, replicas=replicas[app.id], stored_bytes=kept_bytes(session, app)) for app in apps)


def refilled(session: Session, organization: Organization, *, by: Actor, now: datetime, currency: str) -> bool:
    """After money came in: warnings begin anew, and what only lacked money is resumed. True when it was."""
    state = _held(session, organization)
    state.warned_hours = None
    if organization.status != OrganizationStatus.SUSPENDED or state.suspended_for == ADMIN:
        return False
    if what_hinders(session, organization, now=now, currency=currency) is not None:
        return False
    _resume(session, organization, state, by=by, now=now)
    return True
