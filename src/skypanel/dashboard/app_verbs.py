"""What can be asked of an application with one press: the same verbs and limits as the API's."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form
from fastapi.responses import Response

from skypanel.apps.models import App
from skypanel.apps.queries import lock_app
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import seen_app
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.db import Session
from skypanel.deployments.requests import request_stop
from skypanel.http import verbs
from skypanel.http.context import ServicesDep
from skypanel.http.session import WriteSession
from skypanel.orgs.access import Permission, require

router = page_router()


def changed_app(session: Session, account: Account, id: str) -> App:
    """The app of a request to change what runs; its verb locks it. Raises NotFound, Forbidden."""
    app = seen_app(session, account, id)
    require(account.viewer, Permission.DEPLOY)
    return app


@router.post("/apps/{id}/deploy", dependencies=[OwnForm])
def deploy(id: str, account: CurrentAccount, session: WriteSession, services: ServicesDep) -> Response:
    app = changed_app(session, account, id)
    deployment = verbs.deploy(session, services, account.viewer, app, cause="dashboard")
    return see(f"/apps/{app.slug}/deployments/{deployment.version}")


@router.post("/apps/{id}/rollback", dependencies=[OwnForm])
def roll_back(
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    version: Annotated[int, Form(ge=1, le=2**31 - 1)],
    restore_env: Annotated[bool, Form()] = False,
) -> Response:
    app = changed_app(session, account, id)
    deployment = verbs.roll_back(session, services, account.viewer, app, version=version, restore_env=restore_env)
    return see(f"/apps/{app.slug}/deployments/{deployment.version}")


@router.post("/apps/{id}/scale", dependencies=[OwnForm])
def scale(
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    replicas: Annotated[int, Form(ge=0, le=1000)],
    process_type: Annotated[str, Form(max_length=40)] = "web",
) -> Response:
    app = changed_app(session, account, id)
    verbs.scale(session, services, account.viewer, app, replicas=replicas, process_type=process_type)
    told = f"Scaling {process_type} to {replicas}. Visitors notice nothing while replicas come and go."
    return tell(see(f"/apps/{app.slug}"), services, told)


@router.post("/apps/{id}/{verb}", dependencies=[OwnForm])
def restart_or_stop(
    id: str, verb: Literal["restart", "stop"], account: CurrentAccount, session: WriteSession, services: ServicesDep
) -> Response:
    app = changed_app(session, account, id)
    if verb == "restart":
        verbs.restart(session, services, account.viewer, app)
        told = "Restarting: new replicas start beside the old ones and take over when they are healthy."
    else:
        lock_app(session, app)
        request_stop(session, app=app, by=account.viewer.actor, now=services.clock.now())
        told = "Stopping. Versions, variables and settings stay; Start brings it back."
    return tell(see(f"/apps/{app.slug}"), services, told)
