"""The wallet of an organization, for its members: balance, transactions, statements, cap, resuming."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query

from skypanel.api.wallet_bodies import (
    CapRequest,
    OneWallet,
    StatementBody,
    TransactionBody,
    WalletBody,
    amount_of,
    statement_body,
    transaction_body,
    wallet_body,
)
from skypanel.billing.credit import set_cap
from skypanel.billing.running_dry import resume
from skypanel.billing.statement import statement, transactions
from skypanel.billing.wallet import wallet_at
from skypanel.db import Session
from skypanel.http.context import Services, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Permission, require
from skypanel.orgs.models import Organization
from skypanel.orgs.organizations import get_organization

router = api_router(prefix="/api/paas/wallet", tag="wallet")


@router.get("", responses=problems(404), summary="What is in the wallet, and how long it lasts")
def get_wallet(session: ReadSession, viewer: CurrentViewer, services: ServicesDep) -> WalletBody:
    """For every member: what is left decides what anybody may start."""
    require(viewer, Permission.VIEW)
    return shown_wallet(session, services, get_organization(session, viewer))


@router.get("/transactions", responses=problems(403, 404), summary="What the wallet got and paid")
def list_wallet_transactions(
    session: ReadSession, viewer: CurrentViewer, services: ServicesDep, page: PagingDep
) -> PageBody[TransactionBody]:
    """Newest first; for owners and admins."""
    require(viewer, Permission.MANAGE_MONEY)
    with cursor_checked():
        found = transactions(session, viewer.organization_id, limit=page.limit, cursor=page.cursor)
    return page_body(found, lambda each: transaction_body(each, services.currency))


@router.get("/statement", responses=problems(403, 404), summary="A month on one page")
def get_wallet_statement(
    session: ReadSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    month: Annotated[
        str | None,
        Query(pattern=r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$", description="A month of UTC, such as 2026-11; default: this"),
    ] = None,
) -> StatementBody:
    """For owners and admins."""
    require(viewer, Permission.MANAGE_MONEY)
    start = services.clock.now() if month is None else datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    return statement_body(statement(session, viewer.organization_id, start), services.currency)


@router.put("/cap", responses=problems(403, 404), summary="The most it may spend in a month")
def set_wallet_cap(body: CapRequest, session: WriteSession, viewer: CurrentViewer, services: ServicesDep) -> OneWallet:
    """Once a month's hours have cost as much, everything is suspended; a higher cap brings it back. For owners."""
    require(viewer, Permission.MANAGE_ORGANIZATION)
    organization = get_organization(session, viewer)
    set_cap(
        session, organization, cap_micro=None if body.cap is None else amount_of("cap", body.cap), by=viewer.actor,
        now=services.clock.now(), currency=services.currency,
    )  # fmt: skip
    return OneWallet(wallet=shown_wallet(session, services, organization))


@router.post("/resume", responses=problems(403, 404, 409), summary="Bring back what was suspended")
def resume_wallet(session: WriteSession, viewer: CurrentViewer, services: ServicesDep) -> OneWallet:
    """As it was, when the wallet carries an hour of it; for owners and admins. A refill does it by itself."""
    require(viewer, Permission.MANAGE_MONEY)
    organization = get_organization(session, viewer)
    resume(session, organization, by=viewer.actor, now=services.clock.now(), currency=services.currency)
    return OneWallet(wallet=shown_wallet(session, services, organization))


def shown_wallet(session: Session, services: Services, organization: Organization) -> WalletBody:
    session.flush()
    return wallet_body(wallet_at(session, organization, now=services.clock.now()), services.currency)
