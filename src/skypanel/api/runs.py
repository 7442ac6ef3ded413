"""One-off commands."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field

from skypanel.api.deployment_view import run_body
from skypanel.api.shapes import RunAnswer, RunJobAnswer
from skypanel.api.target import DeployedApp, ViewedApp
from skypanel.apps.guards import active_organization
from skypanel.deployments.cancel_run import request_cancel_run
from skypanel.deployments.queries import get_run
from skypanel.deployments.requests import request_run
from skypanel.http.context import ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import RequestBody
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer

router = api_router(prefix="/api/paas/apps/{id}", tag="runs")

RunId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]


class RunRequestBody(RequestBody):
    command: str = Field(min_length=1, max_length=10_000, examples=["python manage.py migrate"])


@router.post("/run", status_code=202, responses=problems(403, 404, 409), summary="Run a command once")
def run_command(
    app: DeployedApp, body: RunRequestBody, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> RunJobAnswer:
    """In a fresh replica of the current release, by a shell. The exit code is in the run; its output in its log."""
    active_organization(session, viewer.organization_id)
    run = request_run(session, app=app, command=body.command, by=viewer.actor, now=services.clock.now())
    return RunJobAnswer(run=run_body(run), job_id=run.job_id)


@router.get("/runs/{run_id}", responses=problems(404), summary="One run and its exit code")
def get_application_run(app: ViewedApp, run_id: RunId, session: ReadSession) -> RunAnswer:
    return RunAnswer(run=run_body(get_run(session, app=app, run_id=run_id)))


@router.post("/runs/{run_id}/cancel", status_code=202, responses=problems(403, 404, 409), summary="Cancel a run")
def cancel_application_run(
    app: DeployedApp, run_id: RunId, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> RunAnswer:
    run = get_run(session, app=app, run_id=run_id)
    request_cancel_run(session, app=app, run=run, by=viewer.actor, now=services.clock.now())
    return RunAnswer(run=run_body(run))
