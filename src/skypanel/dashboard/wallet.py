"""The wallet: what it has, how long that lasts, its cap, every entry, and a month of them on one page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import Response

from skypanel.billing.credit import set_cap
from skypanel.billing.forecast import month_of
from skypanel.billing.running_dry import ADMIN, what_hinders
from skypanel.billing.running_dry import resume as resume_organization
from skypanel.billing.statement import Transaction, statement, transactions
from skypanel.billing.wallet import wallet_at
from skypanel.dashboard.account import Account, CurrentAccount, current_account
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, amount_of, attempt
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.usage_range import moment_of
from skypanel.db import Session
from skypanel.errors import SkyPanelError
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.topups import PaymentTurn, start
from skypanel.kit.paging import Page
from skypanel.orgs.access import Permission, require

router = page_router()

PER_PAGE = 25
MONTH_FORM = "%Y-%m"
Cursor = Annotated[str | None, Query(max_length=500)]


@router.get("/wallet")
def show_wallet(
    request: Request, account: CurrentAccount, session: ReadSession, services: ServicesDep, cursor: Cursor = None
) -> Response:
    return _page(request, account, session, services, Refused(), cursor=cursor)


@router.post("/wallet/cap", dependencies=[OwnForm])
def change_cap(
    request: Request,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    cap: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Empty: none."""
    require(account.viewer, Permission.MANAGE_ORGANIZATION)

    def change() -> str:
        micro = amount_of(cap, field="cap") if cap.strip() else None
        set_cap(
            session, account.organization, cap_micro=micro, by=account.viewer.actor, now=services.clock.now(),
            currency=services.currency,
        )  # fmt: skip
        return "Saved. There is no spending cap any more." if micro is None else "Saved. The cap holds from now on."

    told, refused = attempt(session, change)
    if told is None:
        return _page(request, account, session, services, refused, given=cap)
    return tell(see("/wallet"), services, told)


@router.post("/wallet/topup", dependencies=[OwnForm])
def top_up(
    request: Request, services: ServicesDep, address: ClientAddress, _: PaymentTurn,
    amount: Annotated[str, Form(max_length=20)],
) -> Response:  # fmt: skip
    """Leads on by a link, since no form of ours goes to another host. No transaction is open meanwhile."""
    with services.database.transaction() as session:
        viewer = current_account(request, session, address).viewer
    require(viewer, Permission.MANAGE_MONEY)
    refused, pay_url = Refused(), None
    try:
        pay_url = start(services, viewer, amount=amount.strip().replace(",", ".", 1)).url
    except SkyPanelError as error:
        refused = Refused(error.status, error.detail, {problem.field: problem.message for problem in error.errors})
    with services.database.reading() as session:
        account = current_account(request, session, address)
        return _page(request, account, session, services, refused, amount=amount, pay_url=pay_url)


@router.post("/wallet/resume", dependencies=[OwnForm])
def resume(request: Request, account: CurrentAccount, session: WriteSession, services: ServicesDep) -> Response:
    require(account.viewer, Permission.MANAGE_MONEY)

    def resumed() -> bool:
        resume_organization(
            session, account.organization, by=account.viewer.actor, now=services.clock.now(),
            currency=services.currency,
        )  # fmt: skip
        return True

    done, refused = attempt(session, resumed)
    if done is None:
        return _page(request, account, session, services, refused)
    told = f"{account.organization.name} is active again: its applications are coming back as they were."
    return tell(see("/wallet"), services, told)


@router.get("/wallet/statements/{month}")
def show_statement(request: Request, month: str, account: CurrentAccount, session: ReadSession) -> Response:
    """`month`: `2026-05`, of UTC."""
    moment = moment_of(month, MONTH_FORM, what="month")

    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.MANAGE_MONEY)
        context: dict[str, object] = {"statement": statement(session, account.organization.id, moment)}
        return View("wallet/statement.html", context, frozenset({f"organization:{account.organization.id}"}))

    return live_page(request, account, session, load)


def _page(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    refused: Refused,
    *,
    cursor: str | None = None,
    given: str | None = None,
    amount: str = "",
    pay_url: str | None = None,
) -> Response:
    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.VIEW)
        organization, now = account.organization, services.clock.now()
        wallet = wallet_at(session, organization, now=now)
        found: Page[Transaction] = Page([], None)
        if account.viewer.may(Permission.MANAGE_MONEY):
            with cursor_checked():
                found = transactions(session, organization.id, limit=PER_PAGE, cursor=cursor)
        context: dict[str, object] = {
            "wallet": wallet,
            "rows": found.items,
            "next_cursor": found.next_cursor,
            "months": _months(organization.created_at, now),
            "month_form": MONTH_FORM,
            "given": given,
            "refused": refused,
            "problem": refused.problem,
            "hinders": None,
            "payments": services.payments is not None,
            "amount": amount,
            "pay_url": pay_url,
        }
        if wallet.suspended_for is not None and wallet.suspended_for != ADMIN:
            hinders = what_hinders(session, organization, now=now, currency=services.currency)
            context["hinders"] = hinders.detail if hinders is not None else None
        return View("wallet/wallet.html", context, frozenset({f"organization:{organization.id}"}))

    return live_page(request, account, session, load, status=refused.status)


def _months(first: datetime, now: datetime) -> list[datetime]:
    """Newest first, the twelve last ones at most."""
    month, found = month_of(now), list[datetime]()
    while month >= month_of(first) and len(found) < 12:
        found.append(month)
        month = month_of(datetime.fromtimestamp(month.timestamp() - 1, UTC))
    return found
