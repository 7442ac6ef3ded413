"""Money as the platform's operator sees and moves it: usage of all organizations, wallets, suspensions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import Field

from skypanel.activity.record import Actor
from skypanel.api.usage import FILE, Form
from skypanel.api.usage_bodies import AdminUsageBody, OrganizationUsageItem
from skypanel.api.wallet import shown_wallet
from skypanel.api.wallet_bodies import Given, OneTransaction, OneWallet, TransactionBody, amount_of, transaction_body
from skypanel.billing.credit import enter
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import ADMIN, resume, suspend
from skypanel.billing.statement import transaction, transactions
from skypanel.billing.usage import OrganizationUsage, total, usage_by_organization
from skypanel.http.context import ClientAddress, ServicesDep
from skypanel.http.paging import DEFAULT_LIMIT, PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.usage import UsageRangeDep, usage_file
from skypanel.http.viewer import PlatformAdmin
from skypanel.kit.money import to_decimal_string
from skypanel.kit.paging import MAX_LIMIT
from skypanel.orgs.all_organizations import any_organization

router = api_router(prefix="/api/admin/paas", tag="admin")


class EntryRequest(RequestBody):
    kind: Literal["credit", "adjustment", "refund"]
    amount: Given = Field(description="Added to the wallet; only an adjustment may be negative")
    reason: str = Field(min_length=3, max_length=500, examples=["goodwill for the outage of 3 November"])


@router.get(
    "/usage", response_model=AdminUsageBody, responses=FILE | problems(403), summary="Usage of all organizations"
)
def get_admin_usage(
    session: ReadSession,
    _: PlatformAdmin,
    services: ServicesDep,
    asked: UsageRangeDep,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    form: Form = "json",
) -> AdminUsageBody | Response:
    """Sums of the organizations that used most; as csv every hour of every application of all."""
    if form == "csv":
        return usage_file(services, asked, organization_id=None)
    found = usage_by_organization(session, asked.wanted, limit=limit)
    return AdminUsageBody(
        since=asked.since, to=asked.until, items=[_item(each, services.currency) for each in found],
        total=to_decimal_string(total(session, asked.wanted)), currency=services.currency,
    )  # fmt: skip


@router.get("/organizations/{id}/wallet", responses=problems(403, 404))
def get_admin_wallet(id: str, session: ReadSession, _: PlatformAdmin, services: ServicesDep) -> OneWallet:
    """An organization's wallet."""
    return OneWallet(wallet=shown_wallet(session, services, any_organization(session, id)))


@router.get("/organizations/{id}/wallet/transactions", responses=problems(403, 404))
def list_admin_wallet_transactions(
    id: str, session: ReadSession, _: PlatformAdmin, services: ServicesDep, page: PagingDep
) -> PageBody[TransactionBody]:
    """What an organization's wallet got and paid, newest first."""
    organization = any_organization(session, id)
    with cursor_checked():
        found = transactions(session, organization.id, limit=page.limit, cursor=page.cursor)
    return page_body(found, lambda each: transaction_body(each, services.currency))


@router.post("/organizations/{id}/wallet/entries", status_code=201, responses=problems(403, 404))
def add_wallet_entry(
    id: str,
    body: EntryRequest,
    session: WriteSession,
    admin: PlatformAdmin,
    address: ClientAddress,
    services: ServicesDep,
) -> OneTransaction:
    """Credits, adjusts or refunds, with a reason that the organization sees. What is entered stays; a mistake is
    adjusted. An organization that only lacked money is resumed."""
    organization = any_organization(session, id)
    journal_id = enter(
        session, organization, kind=JournalKind(body.kind), amount_micro=amount_of("amount", body.amount),
        reason=body.reason, by=Actor(admin.email, address), now=services.clock.now(), currency=services.currency,
    )  # fmt: skip
    entered = transaction(session, organization.id, journal_id)
    return OneTransaction(
        entry=transaction_body(entered, services.currency), wallet=shown_wallet(session, services, organization)
    )


@router.post("/organizations/{id}/suspend", responses=problems(403, 404))
def suspend_organization(
    id: str, session: WriteSession, admin: PlatformAdmin, address: ClientAddress, services: ServicesDep
) -> OneWallet:
    """Puts everything of it to rest until an admin resumes it; a refill does not."""
    organization = any_organization(session, id)
    suspend(session, organization, ADMIN, by=Actor(admin.email, address), now=services.clock.now())
    return OneWallet(wallet=shown_wallet(session, services, organization))


@router.post("/organizations/{id}/resume", responses=problems(403, 404, 409))
def resume_organization(
    id: str, session: WriteSession, admin: PlatformAdmin, address: ClientAddress, services: ServicesDep
) -> OneWallet:
    """Brings everything back as it was, when its wallet carries an hour of it or it pays nothing."""
    organization = any_organization(session, id)
    by = Actor(admin.email, address)
    resume(session, organization, by=by, now=services.clock.now(), currency=services.currency, as_admin=True)
    return OneWallet(wallet=shown_wallet(session, services, organization))


def _item(found: OrganizationUsage, currency: str) -> OrganizationUsageItem:
    organization = found.organization
    return OrganizationUsageItem(
        organization=organization.slug, organization_id=organization.id, name=organization.name,
        replica_seconds=found.replica_seconds, log_bytes=found.log_bytes, cost=to_decimal_string(found.amount_micro),
        currency=currency,
    )  # fmt: skip
