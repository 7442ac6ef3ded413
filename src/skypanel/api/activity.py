"""The activity feed of an organization."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import AwareDatetime, Field

from skypanel.activity.models import Activity
from skypanel.activity.queries import ActivityFilter, list_activity
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession
from skypanel.http.viewer import PathViewer
from skypanel.orgs.access import Permission, require

router = api_router(prefix="/api/organizations", tag="activity")


class ActivityObject(ResponseBody):
    type: str = Field(examples=["app"])
    id: str
    name: str


class ActivityBody(ResponseBody):
    id: str
    at: Timestamp
    actor: str = Field(description="E-mail address, or `platform`")
    address: str | None = Field(description="Where the request came from")
    verb: str = Field(examples=["app.created"])
    message: str
    object: ActivityObject
    detail: dict[str, Any]


@router.get("/{id}/activity", responses=problems(404))
def list_organization_activity(
    session: ReadSession,
    viewer: PathViewer,
    page: PagingDep,
    verb: Annotated[str | None, Query(max_length=60, description="`app.created`, or `app.` for all of `app`")] = None,
    actor: Annotated[str | None, Query(max_length=254)] = None,
    object_type: Annotated[str | None, Query(max_length=40)] = None,
    object_id: Annotated[str | None, Query(max_length=80)] = None,
    since: Annotated[AwareDatetime | None, Query(description="From this moment on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment")] = None,
) -> PageBody[ActivityBody]:
    """Who did what, on what, when and from where; newest first."""
    require(viewer, Permission.VIEW)
    wanted = ActivityFilter(verb, actor, object_type, object_id, since, until)
    with cursor_checked():
        found = list_activity(
            session, organization_id=viewer.organization_id, wanted=wanted, limit=page.limit, cursor=page.cursor
        )
    return page_body(found, _activity)


def _activity(row: Activity) -> ActivityBody:
    return ActivityBody(
        id=row.id,
        at=row.created_at,
        actor=row.actor,
        address=row.address,
        verb=row.verb,
        message=row.message,
        object=ActivityObject(type=row.object_type, id=row.object_id, name=row.object_name),
        detail=row.detail,
    )
