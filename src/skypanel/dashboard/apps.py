"""Applications: the list and the overview of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from skypanel.apps.queries import list_apps
from skypanel.billing.forecast import month_of
from skypanel.billing.usage import spent_by_app
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import app_view, seen_app
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.page_route import page_router
from skypanel.dashboard.prices import prices_of_scales
from skypanel.db import Session
from skypanel.deployments.queries import list_deployments, replicas_of, slugs_of, versions_of
from skypanel.deployments.standing import standing_of
from skypanel.http.context import ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession

router = page_router()

PER_PAGE = 50
LATEST = 5


@router.get("/apps")
def show_apps(
    request: Request,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    def load(session: Session, account: Account) -> View:
        with cursor_checked():
            found = list_apps(session, account.viewer, limit=PER_PAGE, cursor=cursor)
        context = {
            "apps": found.items,
            "standing": standing_of(session, found.items),
            "url_of": services.app_url,
            "next_cursor": found.next_cursor,
        }
        return View("apps.html", context, frozenset({f"organization:{account.organization.id}"}))

    return live_page(request, account, session, load)


@router.get("/apps/{id}")
def show_app(
    request: Request, id: str, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        replicas, standing = replicas_of(session, app=app), standing_of(session, [app])[app.id]
        latest = list_deployments(session, app=app, limit=LATEST, cursor=None).items
        return app_view(
            session,
            services,
            app,
            "app/overview.html",
            tab="",
            latest=latest,
            slugs=slugs_of(session, [deployment.slug_id for deployment in latest]),
            replicas=replicas,
            versions=versions_of(session, [replica.deployment_id for replica in replicas]),
            sliders=prices_of_scales(session, services, account.organization, app, standing),
            month_micro=spent_by_app(session, app, since=month_of(services.clock.now())),
        )

    return live_page(request, account, session, load)
