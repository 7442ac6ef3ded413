"""A wallet at a glance: what is in it, how long that lasts, and what that means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from skypanel.billing.forecast import burns, hours_left, month_of
from skypanel.billing.ledger import balances
from skypanel.billing.models import WalletState
from skypanel.billing.running_dry import MARKS, TOLD, hour_when_resumed
from skypanel.billing.usage import spent
from skypanel.db import Session
from skypanel.orgs.models import Organization, OrganizationStatus


class WalletStanding(StrEnum):
    OK = "ok"
    LOW = "low"  # less than 72 hours are left
    EMPTY = "empty"  # nothing is left; what runs is suspended with the next charge
    SUSPENDED = "suspended"
    FREE = "free"  # the organization pays nothing


@dataclass(frozen=True)
class Glance:
    """What every page shows of a wallet. Amounts in micro-units."""

    balance: int
    billed: bool
    state: WalletStanding
    burn: int  # an hour, as things are
    hours_left: int | None  # None: nothing is used, or nothing is paid for
    cap: int | None
    suspended_for: str | None  # "funds", "cap" or "admin"
    suspended_at: datetime | None

    @property
    def mark(self) -> int | None:
        """The lowest of the marks at which is warned that it has come below: 72, 24; None above them."""
        left = self.hours_left
        return None if left is None else min((mark for mark in MARKS if left < mark), default=None)

    @property
    def told(self) -> str | None:
        """Why it is suspended, for people."""
        return told(self.suspended_for)


@dataclass(frozen=True)
class Wallet(Glance):
    to_resume: int | None  # an hour of all that is suspended; None while it is active
    spent_this_month: int


def glances(session: Session, organizations: Collection[Organization]) -> Mapping[str, Glance]:
    """By organization: as many queries for any number of them."""
    ids = [organization.id for organization in organizations]
    left, burning = balances(session, ids), burns(session, ids)
    query = sa.select(WalletState).where(WalletState.organization_id.in_(ids))
    states = {state.organization_id: state for state in session.scalars(query)}
    return {each.id: _glance(each, left[each.id], burning[each.id], states.get(each.id)) for each in organizations}


def _glance(organization: Organization, left: int, burn: int, state: WalletState | None) -> Glance:
    hours = hours_left(left, burn) if organization.billed else None
    return Glance(
        balance=left, billed=organization.billed, state=_standing(organization, left, hours), burn=burn,
        hours_left=hours, cap=state.cap_micro if state else None, suspended_for=state.suspended_for if state else None,
        suspended_at=state.suspended_at if state else None,
    )  # fmt: skip


def wallet_at(session: Session, organization: Organization, *, now: datetime) -> Wallet:
    glance, month = glances(session, [organization])[organization.id], month_of(now)
    suspended = organization.status == OrganizationStatus.SUSPENDED
    return Wallet(
        **vars(glance), to_resume=hour_when_resumed(session, organization.id) if suspended else None,
        spent_this_month=spent(session, organization.id, since=month, until=month_of(month + timedelta(days=32))),
    )  # fmt: skip


def _standing(organization: Organization, left: int, hours: int | None) -> WalletStanding:
    if organization.status == OrganizationStatus.SUSPENDED:
        return WalletStanding.SUSPENDED
    if not organization.billed:
        return WalletStanding.FREE
    if left <= 0:
        return WalletStanding.EMPTY
    return WalletStanding.LOW if hours is not None and hours < MARKS[0] else WalletStanding.OK


def suspensions(session: Session, organizations: Collection[str]) -> Mapping[str, str]:
    """Organization -> why it is suspended: "funds", "cap" or "admin"; those that are active are missing."""
    query = sa.select(WalletState.organization_id, WalletState.suspended_for).where(
        WalletState.organization_id.in_(organizations), WalletState.suspended_for.is_not(None)
    )
    return {organization_id: str(why) for organization_id, why in session.execute(query)}


def told(why: str | None) -> str | None:
    """The sentence for people."""
    return TOLD.get(why) if why is not None else None
