"""Go to…: applications, pages and verbs by a few letters, from any page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from skypanel.apps.queries import find_apps
from skypanel.dashboard.account import CurrentAccount
from skypanel.dashboard.page_route import page_router
from skypanel.dashboard.pages import page
from skypanel.http.session import ReadSession

router = page_router()

MOST_APPS = 8
PAGES = (
    ("Applications", "/apps"),
    ("New application", "/apps/new"),
    ("Usage", "/usage"),
    ("Wallet", "/wallet"),
    ("Activity", "/activity"),
    ("Members", "/members"),
    ("API tokens", "/tokens"),
)
ADMIN_PAGES = (
    ("Machines", "/admin/machines"),
    ("All organizations", "/admin/organizations"),
    ("Usage reports", "/admin/usage"),
)
TABS = (
    ("overview", ""),
    ("deployments", "/deployments"),
    ("logs", "/logs"),
    ("environment", "/environment"),
    ("settings", "/settings"),
)
VERBS = ("deploy", "restart", "stop")


@router.get("/palette")
def show_suggestions(
    request: Request, account: CurrentAccount, session: ReadSession, q: Annotated[str, Query(max_length=80)] = ""
) -> Response:
    """`shop`, `shop logs`, `shop deploy`: the first word finds applications, the second what of them."""
    first, _, second = q.strip().lower().partition(" ")
    apps = find_apps(session, account.viewer, text=first, limit=MOST_APPS)
    all_pages = PAGES + (ADMIN_PAGES if account.user.is_admin else ())
    pages = [(label, href) for label, href in all_pages if q.strip().lower() in label.lower()]
    return page(
        request,
        "palette.html",
        account=account,
        apps=apps,
        pages=pages,
        tabs=[tab for tab in TABS if tab[0].startswith(second.strip())] if second or len(apps) == 1 else TABS[:1],
        verbs=[verb for verb in VERBS if second and verb.startswith(second.strip())],
    )
