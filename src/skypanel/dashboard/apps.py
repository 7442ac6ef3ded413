"""Applications: the list, one of them, and what can be asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form, Query, Request
from fastapi.responses import Response

from skypanel.apps.guards import active_organization
from skypanel.apps.models import App
from skypanel.apps.queries import get_app, list_apps, lock_app
from skypanel.dashboard.account import CurrentAccount
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.deployments.models import DeploymentStatus
from skypanel.deployments.queries import list_deployments, replicas_of, slugs_of
from skypanel.deployments.rate import require_deploy_rate
from skypanel.deployments.requests import request_deploy, request_restart, request_rollback, request_stop
from skypanel.deployments.standing import standing_of
from skypanel.http.context import ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession, WriteSession
from skypanel.orgs.access import Permission, require

router = page_router()

PER_PAGE = 50
IN_PROGRESS = (DeploymentStatus.QUEUED, DeploymentStatus.BUILDING, DeploymentStatus.DEPLOYING)
REFRESH_S = 3


@router.get("/apps")
def show_apps(
    request: Request,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    with cursor_checked():
        found = list_apps(session, account.viewer, limit=PER_PAGE, cursor=cursor)
    return page(
        request,
        "apps.html",
        account=account,
        apps=found.items,
        standing=standing_of(session, found.items),
        url_of=services.app_url,
        currency=services.currency,
        next_cursor=found.next_cursor,
        api_url=services.public_url,
    )


@router.get("/apps/{id}")
def show_app(
    request: Request, id: str, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    app = get_app(session, account.viewer, id)
    deployments = list_deployments(session, app=app, limit=10, cursor=None).items
    busy = any(deployment.status in IN_PROGRESS for deployment in deployments)
    return page(
        request,
        "app.html",
        account=account,
        app=app,
        standing=standing_of(session, [app])[app.id],
        url=services.app_url(app.slug),
        currency=services.currency,
        deployments=deployments,
        slugs=slugs_of(session, [deployment.slug_id for deployment in deployments]),
        replicas=replicas_of(session, app=app),
        refresh_s=REFRESH_S if busy else None,
    )


@router.post("/apps/{id}/{action}", dependencies=[OwnForm])
def ask_of_app(
    id: str,
    action: Literal["deploy", "restart", "stop", "rollback"],
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    version: Annotated[int, Form(ge=1, le=2**31 - 1)] = 1,
) -> Response:
    """The same verbs and limits as the API's."""
    app: App = get_app(session, account.viewer, id)
    require(account.viewer, Permission.DEPLOY)
    by, now = account.viewer.actor, services.clock.now()
    if action != "stop":
        active_organization(session, app.organization_id)
    lock_app(session, app)
    if action == "deploy":
        require_deploy_rate(session, app=app, per_hour=services.max_deployments_per_hour, now=now)
        request_deploy(session, app=app, by=by, now=now, cause="dashboard")
    elif action == "restart":
        request_restart(session, app=app, by=by, now=now)
    elif action == "rollback":
        request_rollback(session, app=app, version=version, restore_env=False, by=by, now=now)
    else:
        request_stop(session, app=app, by=by, now=now)
    return see(f"/apps/{app.slug}")
