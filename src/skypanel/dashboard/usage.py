"""PaaS Usage: what applications cost, down to the seconds behind one hour's amount; and all of it as CSV."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Path, Query, Request
from fastapi.responses import Response

from skypanel.billing.breakdown import breakdown
from skypanel.billing.forecast import burns_of_apps
from skypanel.billing.usage import app_ever, hours_of_app, usage_by_app
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.page_route import page_router
from skypanel.dashboard.usage_range import RANGES, AskedTime, moment_of
from skypanel.db import Session
from skypanel.http.context import ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession
from skypanel.http.usage import usage_file
from skypanel.orgs.access import Permission, require
from skypanel.orgs.plans import list_all_plans

router = page_router()

PER_PAGE = 100
HOUR_FORM = "%Y-%m-%dT%H"
Plan = Annotated[str, Query(max_length=80)]
Cursor = Annotated[str | None, Query(max_length=500)]
AppId = Annotated[str, Path(max_length=60)]


@router.get("/usage")
def show_usage(
    request: Request,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    asked: AskedTime,
    plan: Plan = "",
) -> Response:
    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.VIEW)
        time, organization = asked.at(services.clock.now()), account.organization.id
        wanted = time.asked(plan=plan).wanted
        rows = usage_by_app(session, organization, wanted)
        context: dict[str, object] = {
            "rows": rows,
            "total": {
                name: sum(getattr(row, name) for row in rows)
                for name in ("replica_seconds", "replica_micro", "storage_micro", "log_micro", "amount_micro")
            },
            "burns": burns_of_apps(session, organization),
            "plans": [one.slug for one in list_all_plans(session)],
            "plan": plan,
            "time": time,
            "ranges": RANGES,
            "kept": "&".join(part for part in (time.query, urlencode({"plan": plan}) if plan else "") if part),
            "problem": time.problem,
        }
        return View("usage/list.html", context, frozenset({f"organization:{organization}"}))

    return live_page(request, account, session, load)


@router.get("/usage.csv")
def export_usage(
    account: CurrentAccount,
    services: ServicesDep,
    asked: AskedTime,
    plan: Plan = "",
) -> Response:
    require(account.viewer, Permission.MANAGE_MONEY)
    time = asked.at(services.clock.now())
    return usage_file(services, time.for_file(plan=plan), organization_id=account.organization.id)


@router.get("/usage/{app_id}")
def show_hours(
    request: Request,
    app_id: AppId,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    asked: AskedTime,
    plan: Plan = "",
    cursor: Cursor = None,
) -> Response:
    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.VIEW)
        organization = account.organization.id
        app, time = app_ever(session, account.viewer, app_id), asked.at(services.clock.now())
        wanted = time.asked(app=app.id, plan=plan).wanted
        with cursor_checked():
            found = hours_of_app(session, organization, wanted, limit=PER_PAGE, cursor=cursor)
        context: dict[str, object] = {
            "app": app,
            "rows": found.items,
            "next_cursor": found.next_cursor,
            "total_micro": sum(row.amount_micro for row in usage_by_app(session, organization, wanted)),
            "plans": [one.slug for one in list_all_plans(session)],
            "plan": plan,
            "time": time,
            "ranges": RANGES,
            "kept": "&".join(part for part in (time.query, urlencode({"plan": plan}) if plan else "") if part),
            "hour_form": HOUR_FORM,
            "problem": time.problem,
        }
        return View("usage/hours.html", context, frozenset({f"organization:{organization}"}))

    return live_page(request, account, session, load)


@router.get("/usage/{app_id}/{hour}")
def show_hour(
    request: Request, app_id: AppId, hour: str, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    """`hour`: `2026-05-01T12`, in UTC."""
    moment = moment_of(hour, HOUR_FORM, what="hour")

    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.VIEW)
        app = app_ever(session, account.viewer, app_id)
        found = breakdown(session, app, moment, now=services.clock.now())
        context: dict[str, object] = {"app": app, "hour": moment, "found": found}
        return View("usage/hour.html", context, frozenset({f"organization:{account.organization.id}"}))

    return live_page(request, account, session, load)
