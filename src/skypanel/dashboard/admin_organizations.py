"""Organizations, for platform admins: their wallets, money that is moved by hand, suspending and resuming; usage of all
of them as CSV."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form, Query, Request
from fastapi.responses import Response
from sqlalchemy.exc import IntegrityError

from skypanel.billing.credit import MANUAL, enter, set_billed
from skypanel.billing.models import JournalKind
from skypanel.billing.running_dry import ADMIN, resume, suspend
from skypanel.billing.statement import transactions
from skypanel.billing.usage import total, usage_by_organization
from skypanel.billing.wallet import glances
from skypanel.dashboard.account import Account, PlatformAdminAccount, require_platform_admin
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, amount_of, attempt
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.usage_range import RANGES, AskedTime
from skypanel.db import Session
from skypanel.errors import Invalid
from skypanel.http.context import Services, ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.usage import usage_file
from skypanel.kit.ids import new_id
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.all_organizations import any_organization, list_all_organizations
from skypanel.orgs.models import Organization

router = page_router()

ORGANIZATIONS = "/admin/organizations"
PER_PAGE = 50
MOST = 200  # rows of a report
LATEST = 10
Line = Annotated[str, Form(max_length=600)]


@router.get(ORGANIZATIONS)
def show_organizations(
    request: Request,
    account: PlatformAdminAccount,
    session: ReadSession,
    q: Annotated[str, Query(max_length=120)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    def load(session: Session, account: Account) -> View:
        require_platform_admin(account)
        with cursor_checked():
            found = list_all_organizations(session, text=q.strip(), limit=PER_PAGE, cursor=cursor)
        context: dict[str, object] = {
            "organizations": found.items,
            "wallets": glances(session, found.items),
            "next_cursor": found.next_cursor,
            "q": q,
        }
        return View("admin/organizations.html", context, frozenset(f"organization:{one.id}" for one in found.items))

    return live_page(request, account, session, load)


@router.get(ORGANIZATIONS + "/{id}")
def show_one(request: Request, id: str, account: PlatformAdminAccount, session: ReadSession) -> Response:
    return _page(request, account, session, id, Refused())


@router.post(ORGANIZATIONS + "/{id}/entries", dependencies=[OwnForm])
def move_money(
    request: Request,
    id: str,
    account: PlatformAdminAccount,
    session: WriteSession,
    services: ServicesDep,
    kind: Line = "",
    amount: Line = "",
    reason: Line = "",
    key: Annotated[str, Form(max_length=60)] = "",
) -> Response:
    """`key` comes from the form, so that pressing twice enters once."""
    organization = any_organization(session, id)
    once = f"form:{key or new_id()}"

    def move() -> str:
        if kind not in MANUAL:
            raise Invalid("Choose a credit, an adjustment or a refund.")
        micro = amount_of(amount, field="amount")
        said = f"{kind.capitalize()} of {to_decimal_string(micro)} {services.currency} for {organization.name}"
        try:
            with session.begin_nested():  # pressed twice at once: the second one waits for the wallet, and loses
                enter(
                    session, organization, kind=JournalKind(kind), amount_micro=micro, reason=reason,
                    by=account.viewer.actor, now=services.clock.now(), currency=services.currency, key=once,
                )  # fmt: skip
        except IntegrityError:
            return f"{said}: it had been entered already."
        return f"{said} entered."

    told, refused = attempt(session, move)
    if told is None:
        return _page(request, account, session, id, refused, kind=kind, amount=amount, reason=reason)
    return tell(see(f"{ORGANIZATIONS}/{organization.id}"), services, told)


@router.post(ORGANIZATIONS + "/{id}/{verb}", dependencies=[OwnForm])
def ask(
    request: Request,
    id: str,
    verb: Literal["suspend", "resume", "charge", "free"],
    account: PlatformAdminAccount,
    session: WriteSession,
    services: ServicesDep,
) -> Response:
    """`charge` and `free`: whether its wallet pays for what it uses."""
    organization = any_organization(session, id)
    done, refused = attempt(session, lambda: _do(session, services, account, organization, verb))
    if done is None:
        return _page(request, account, session, id, refused)
    return tell(see(f"{ORGANIZATIONS}/{organization.id}"), services, done)


def _do(session: Session, services: Services, account: Account, organization: Organization, verb: str) -> str:
    by, now, name = account.viewer.actor, services.clock.now(), organization.name
    if verb == "suspend":
        suspend(session, organization, ADMIN, by=by, now=now)
        return f"{name} is suspended: its applications are being put to rest."
    if verb == "resume":
        resume(session, organization, by=by, now=now, currency=services.currency, as_admin=True)
        return f"{name} is active again: its applications are coming back as they were."
    billed = verb == "charge"
    set_billed(session, organization, billed=billed, by=by, now=now, currency=services.currency)
    return f"{name} pays for what it uses from now on." if billed else f"{name} uses the platform free of charge."


@router.get("/admin/usage")
def show_usage(
    request: Request,
    account: PlatformAdminAccount,
    session: ReadSession,
    services: ServicesDep,
    asked: AskedTime,
) -> Response:
    def load(session: Session, account: Account) -> View:
        require_platform_admin(account)
        time = asked.at(services.clock.now())
        wanted = time.asked().wanted
        context: dict[str, object] = {
            "rows": usage_by_organization(session, wanted, limit=MOST),
            "most": MOST,
            "total_micro": total(session, wanted),
            "time": time,
            "ranges": RANGES,
            "kept": time.query,
            "problem": time.problem,
        }
        return View("admin/usage.html", context)

    return live_page(request, account, session, load)


@router.get("/admin/usage.csv")
def export_usage(_: PlatformAdminAccount, services: ServicesDep, asked: AskedTime) -> Response:
    return usage_file(services, asked.at(services.clock.now()).for_file(), organization_id=None)


def _page(request: Request, account: Account, session: Session, id: str, refused: Refused, **given: str) -> Response:
    def load(session: Session, account: Account) -> View:
        require_platform_admin(account)
        organization = any_organization(session, id)
        context: dict[str, object] = {
            "organization": organization,
            "wallet": glances(session, [organization])[organization.id],
            "rows": transactions(session, organization.id, limit=LATEST, cursor=None).items,
            "next_cursor": None,
            "kinds": [kind.value for kind in MANUAL],
            "given": {"kind": MANUAL[0].value, "amount": "", "reason": "", **given},
            "key": new_id(),
            "refused": refused,
            "problem": refused.problem,
        }
        return View("admin/organization.html", context, frozenset({f"organization:{organization.id}"}))

    return live_page(request, account, session, load, status=refused.status)
