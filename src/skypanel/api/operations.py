"""Scale, restart, stop, and the replicas that result."""

from __future__ import annotations

from pydantic import Field

from skypanel.api.app_view import app_body
from skypanel.api.deployment_view import replica_bodies
from skypanel.api.shapes import AppJobAnswer, ReplicaBody
from skypanel.api.target import DeployedApp, ViewedApp
from skypanel.apps.queries import lock_app
from skypanel.deployments.queries import replicas_of
from skypanel.deployments.requests import request_stop
from skypanel.http import verbs
from skypanel.http.context import ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer

router = api_router(prefix="/api/paas/apps/{id}", tag="operations")


class ScaleBody(RequestBody):
    replicas: int = Field(ge=0, le=1000)
    process_type: str = Field(default="web", pattern=r"^[A-Za-z0-9_-]{1,40}$")


@router.post("/scale", status_code=202, responses=problems(403, 404, 409), summary="Change the number of replicas")
def scale_application(
    app: DeployedApp, body: ScaleBody, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> AppJobAnswer:
    job_id = verbs.scale(session, services, viewer, app, replicas=body.replicas, process_type=body.process_type)
    return AppJobAnswer(app=app_body(session, services, app), job_id=job_id)


@router.post(
    "/restart", status_code=202, responses=problems(403, 404, 409), summary="Roll the replicas, or start again"
)
def restart_application(
    app: DeployedApp, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> AppJobAnswer:
    """A stopped application starts from its last good slug."""
    job_id = verbs.restart(session, services, viewer, app)
    return AppJobAnswer(app=app_body(session, services, app), job_id=job_id)


@router.post("/stop", status_code=202, responses=problems(403, 404, 409), summary="Stop all replicas")
def stop_application(
    app: DeployedApp, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> AppJobAnswer:
    """Its settings, variables and versions stay; replicas are no longer billed."""
    lock_app(session, app)
    job_id = request_stop(session, app=app, by=viewer.actor, now=services.clock.now())
    return AppJobAnswer(app=app_body(session, services, app), job_id=job_id)


@router.get("/replicas", responses=problems(404), summary="Replicas and their health")
def list_application_replicas(app: ViewedApp, session: ReadSession) -> PageBody[ReplicaBody]:
    """All of them: `next_cursor` is always null."""
    return PageBody(items=replica_bodies(session, replicas_of(session, app=app)))
