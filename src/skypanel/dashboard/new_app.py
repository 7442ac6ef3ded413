"""A new application: made and deployed with one press."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import Response

from skypanel.apps.create import draft_app
from skypanel.apps.models import BuildpackName
from skypanel.apps.rules import HealthCheck
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.buildpack_field import buildpacks_of
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.dashboard.prices import prices_of_new
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.http import verbs
from skypanel.http.context import Services, ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.orgs.access import Permission, require
from skypanel.orgs.plans import list_active_plans

router = page_router()

Line = Annotated[str, Form(max_length=2000)]
Number = Annotated[int, Form(ge=0, le=100_000)]
EMPTY = {
    "name": "", "git_url": "", "branch": "", "plan": "", "replicas": 1, "buildpack": "", "health_type": "http",
    "health_path": "/", "interval_s": 30, "timeout_s": 5, "retries": 3,
}  # fmt: skip


@router.get("/apps/new")
def show_new_app(request: Request, account: CurrentAccount, session: ReadSession, services: ServicesDep) -> Response:
    require(account.viewer, Permission.DEPLOY)
    return _form(request, account, session, services, EMPTY, Refused())


@router.post("/apps/new", dependencies=[OwnForm])
def create_app(
    request: Request,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    name: Line,
    git_url: Line,
    branch: Line = "",
    plan: Line = "",
    replicas: Number = 1,
    buildpack: Line = "",
    health_type: Line = "http",
    health_path: Line = "/",
    interval_s: Number = 30,
    timeout_s: Number = 5,
    retries: Number = 3,
) -> Response:
    """Leads to the progress of the first deployment."""

    def create_and_deploy() -> tuple[str, Deployment]:
        draft = draft_app(
            name=name,
            git_url=git_url,
            check_git_url=services.check_git_url,
            branch=branch,
            buildpack=buildpacks_of(buildpack),
            plan=plan or None,
            replicas=replicas,
            health=HealthCheck(health_type, health_path, interval_s, timeout_s, retries),
        )
        app = verbs.create(session, services, account.viewer, draft)
        return app.slug, verbs.deploy(session, services, account.viewer, app, cause="dashboard")

    made, refused = attempt(session, create_and_deploy)
    if made is not None:
        slug, deployment = made
        return see(f"/apps/{slug}/deployments/{deployment.version}")
    given = {
        "name": name, "git_url": git_url, "branch": branch, "plan": plan, "replicas": replicas, "buildpack": buildpack,
        "health_type": health_type, "health_path": health_path, "interval_s": interval_s, "timeout_s": timeout_s,
        "retries": retries,
    }  # fmt: skip
    return _form(request, account, session, services, given, refused)


def _form(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    given: Mapping[str, object],
    refused: Refused,
) -> Response:
    plans = list_active_plans(session)
    costs = prices_of_new(session, services, account.organization, plans)
    chosen = str(given["plan"]) or next(iter(costs), "")
    return page(
        request,
        "new_app.html",
        status=refused.status,
        account=account,
        given=given,
        refused=refused,
        problem=refused.problem,
        plans=plans,
        costs=costs,
        cost=dict(enumerate(costs.get(chosen, []))).get(int(str(given["replicas"]))),
        buildpack_names=sorted(row.name for row in session.query(BuildpackName)),
        address=services.app_url("NAME"),
    )
