"""Activity: who did what, on what, when and from where."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import Response

from skypanel.activity.queries import ActivityFilter, list_activity
from skypanel.apps.queries import get_app
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.page_route import page_router
from skypanel.db import Session
from skypanel.http.context import ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession
from skypanel.orgs.access import Permission, require

router = page_router()

PER_PAGE = 50
FAMILIES = {
    "app.": "applications", "deployment.": "deployments", "env.": "variables", "replica.": "replicas",
    "member.": "members", "invitation.": "invitations", "organization.": "the organization", "wallet.": "the wallet",
}  # fmt: skip
RANGES = {"24h": ("last 24 hours", 1), "7d": ("last 7 days", 7), "30d": ("last 30 days", 30)}
Word = Annotated[str, Query(max_length=254)]


@router.get("/activity")
def show_activity(
    request: Request,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    verb: Word = "",
    actor: Word = "",
    app: Word = "",
    range: Word = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    chosen = {"verb": verb if verb in FAMILIES else "", "actor": actor, "app": app, "range": range}
    kept = urlencode({name: value for name, value in chosen.items() if value})

    def load(session: Session, account: Account) -> View:
        require(account.viewer, Permission.VIEW)
        since = services.clock.now() - timedelta(days=RANGES[range][1]) if range in RANGES else None
        wanted = ActivityFilter(
            verb=chosen["verb"] or None,
            actor=actor.strip() or None,
            object_id=get_app(session, account.viewer, app).id if app else None,
            since=since,
        )
        organization = account.viewer.organization_id
        with cursor_checked():
            found = list_activity(session, organization_id=organization, wanted=wanted, limit=PER_PAGE, cursor=cursor)
        context: dict[str, object] = {
            "rows": found.items,
            "next_cursor": found.next_cursor,
            "chosen": chosen,
            "kept": kept,
            "families": FAMILIES,
            "ranges": {name: label for name, (label, _) in RANGES.items()},
        }
        return View("activity.html", context, frozenset({f"organization:{organization}"}))

    return live_page(request, account, session, load)
