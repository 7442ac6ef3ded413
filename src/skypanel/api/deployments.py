"""Deploy, roll back, cancel, and the history of an application's versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body
from pydantic import Field

from skypanel.api.deployment_view import deployment_bodies, deployment_body
from skypanel.api.shapes import DeploymentAnswer, DeploymentBody, DeploymentJobAnswer
from skypanel.api.target import DeployedApp, Version, ViewedApp
from skypanel.deployments.queries import get_deployment, list_deployments
from skypanel.deployments.requests import request_cancel
from skypanel.http import verbs
from skypanel.http.context import ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer

router = api_router(prefix="/api/paas/apps/{id}", tag="deployments")


class DeployBody(RequestBody):
    commit: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{7,64}$",
        description="A commit of the branch; left out: its newest",
    )


class RollbackBody(RequestBody):
    version: int = Field(ge=1, le=2**31 - 1, description="The version to go back to")
    restore_env: bool = Field(default=False, description="Bring that version's variables back too")


@router.post("/deploy", status_code=202, responses=problems(403, 404, 409, 429), summary="Build and deploy the branch")
def deploy_application(
    app: DeployedApp,
    session: WriteSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    body: Annotated[DeployBody | None, Body()] = None,
) -> DeploymentJobAnswer:
    """A newer request supersedes those still queued."""
    deployment = verbs.deploy(session, services, viewer, app, commit=body.commit if body else None)
    return DeploymentJobAnswer(deployment=deployment_body(session, deployment), job_id=deployment.job_id)


@router.post("/rollback", status_code=202, responses=problems(403, 404, 409), summary="Go back to a version")
def roll_back_application(
    app: DeployedApp, body: RollbackBody, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> DeploymentJobAnswer:
    """Its stored slug serves again as a new version; nothing is built."""
    deployment = verbs.roll_back(
        session, services, viewer, app, version=body.version, restore_env=body.restore_env
    )  # fmt: skip
    return DeploymentJobAnswer(deployment=deployment_body(session, deployment), job_id=deployment.job_id)


@router.get("/deployments", responses=problems(404), summary="Versions, newest first")
def list_application_deployments(app: ViewedApp, session: ReadSession, paging: PagingDep) -> PageBody[DeploymentBody]:
    with cursor_checked():
        page = list_deployments(session, app=app, limit=paging.limit, cursor=paging.cursor)
    return PageBody(items=deployment_bodies(session, page.items), next_cursor=page.next_cursor)


@router.get("/deployments/{version}", responses=problems(404), summary="One version")
def get_application_deployment(app: ViewedApp, version: Version, session: ReadSession) -> DeploymentAnswer:
    deployment = get_deployment(session, app=app, version=version)
    return DeploymentAnswer(deployment=deployment_body(session, deployment))


@router.post(
    "/deployments/{version}/cancel", status_code=202, responses=problems(403, 404, 409), summary="Cancel a deployment"
)
def cancel_application_deployment(
    app: DeployedApp, version: Version, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> DeploymentAnswer:
    """It ends as `cancelled` when its work has really stopped."""
    deployment = get_deployment(session, app=app, version=version)
    request_cancel(session, deployment=deployment, by=viewer.actor, now=services.clock.now())
    return DeploymentAnswer(deployment=deployment_body(session, deployment))
