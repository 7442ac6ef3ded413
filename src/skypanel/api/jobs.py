"""The job behind an answer's `job_id`."""

from __future__ import annotations

from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import Path

from skypanel.apps.models import App
from skypanel.deployments.models import Run
from skypanel.errors import NotFound
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import ResponseBody, Timestamp
from skypanel.http.session import ReadSession
from skypanel.http.viewer import CurrentViewer
from skypanel.jobs import Job
from skypanel.orgs.access import Viewer

router = api_router(prefix="/api/paas/jobs", tag="jobs")


class JobBody(ResponseBody):
    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class JobShown(ResponseBody):
    job: JobBody


@router.get("/{job_id}", responses=problems(404), summary="State of a job of one of the organization's applications")
def get_job_state(
    job_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9:_.-]{1,64}$")], session: ReadSession, viewer: CurrentViewer
) -> JobShown:
    """Finished jobs are kept for some days only."""
    job = session.scalars(sa.select(Job).where(Job.id == job_id, _of_viewers(viewer))).one_or_none()
    if job is None:
        raise NotFound("There is no such job in this organization.", code="job_not_found")
    return JobShown(job=JobBody.model_validate(job))


def _of_viewers(viewer: Viewer) -> sa.ColumnElement[bool]:
    """Jobs of deleted applications too: that is how their deletion is followed. A condition of the one query, so that
    the time of the answer does not tell a job of others from none."""
    owned = sa.select(App.id).where(App.organization_id == viewer.organization_id)
    of_an_app = owned.where(App.id == sa.func.substr(Job.key, len("app:") + 1), Job.key.startswith("app:")).exists()
    of_a_run = owned.join(Run, Run.app_id == App.id).where(Run.job_id == Job.id).exists()
    return sa.or_(of_an_app, of_a_run)
