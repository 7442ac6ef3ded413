"""What an organization used and what it cost: sums, hours, the intervals behind an hour, a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Response
from pydantic import AwareDatetime

from skypanel.api.target import AppId
from skypanel.api.usage_bodies import HourBody, UsageBody, UsageHourBody, hour_body, usage_body, usage_hour_body
from skypanel.billing import usage
from skypanel.billing.core.hours import hour_of
from skypanel.errors import NotFound
from skypanel.http.context import ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody
from skypanel.http.session import ReadSession
from skypanel.http.usage import UsageRangeDep, in_utc, usage_file
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Permission, require

router = api_router(prefix="/api/paas", tag="usage")
Form = Annotated[Literal["json", "csv"], Query(alias="format", description="csv: every hour of the range as a row")]
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get(
    "/usage", response_model=UsageBody, responses=FILE | problems(403, 404), summary="What was used, and its cost"
)
def get_usage(
    session: ReadSession, viewer: CurrentViewer, services: ServicesDep, asked: UsageRangeDep, form: Form = "json"
) -> UsageBody | Response:
    """Sums of hours that were charged. Deleted applications stay. The file is for owners and admins."""
    require(viewer, Permission.VIEW)
    if form == "csv":
        require(viewer, Permission.MANAGE_MONEY)
        return usage_file(services, asked, organization_id=viewer.organization_id)
    found = usage.usage_by_app(session, viewer.organization_id, asked.wanted)
    return usage_body(found, asked, services.currency)


@router.get("/usage/hours", responses=problems(404), summary="Hours behind the sums")
def list_usage_hours(
    session: ReadSession, viewer: CurrentViewer, services: ServicesDep, asked: UsageRangeDep, page: PagingDep
) -> PageBody[UsageHourBody]:
    """Newest first; a row for each application, plan and revision."""
    require(viewer, Permission.VIEW)
    with cursor_checked():
        found = usage.hours_of_app(
            session, viewer.organization_id, asked.wanted, limit=page.limit, cursor=page.cursor
        )  # fmt: skip
    slugs = usage.slugs_of(session, {record.app_id for record in found.items})
    items = [usage_hour_body(record, slugs[record.app_id], services.currency) for record in found.items]
    return PageBody(items=items, next_cursor=found.next_cursor)


@router.get("/apps/{id}/usage/{hour}", responses=problems(404), summary="What is behind an hour's amount")
def get_usage_hour(
    id: AppId,
    hour: Annotated[AwareDatetime, Path(description="Any moment of it", examples=["2026-11-03T14:00:00Z"])],
    session: ReadSession,
    viewer: CurrentViewer,
    services: ServicesDep,
) -> HourBody:
    """Replicas with their paid seconds and prices, kept releases and logs: enough to compute the amount again. A
    deleted application by its id."""
    app = usage.app_ever(session, viewer, id)
    require(viewer, Permission.VIEW)
    begin, now = hour_of(in_utc("hour", hour)), services.clock.now()
    records = usage.records_of_hour(session, app, begin)
    ran, kept = usage.intervals(session, app, begin, now=now), usage.kept_in(session, app, begin, now=now)
    if not (records or ran or kept):
        raise NotFound("Nothing of this application was used in that hour.", code="usage_not_found")
    terms = usage.terms_in(session, app, begin)
    return hour_body(app, begin, records, ran, kept, terms, services.currency)
