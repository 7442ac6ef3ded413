"""Logs: an application's lines, page by page and live; the logs of one deployment and of one run.

An application's pages go back in time from the newest; a deployment's and a run's go on from the first line. Within a
page the oldest line comes first. A line's `cursor` may be given as `cursor` (what is older, or for deployments and
runs newer) and as `Last-Event-ID` (what is newer).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse

from skypanel.api.log_stream import IDLE_S, End, EventStream, Watch, as_generator, line_body
from skypanel.api.runs import RunId
from skypanel.api.target import Version, ViewedApp
from skypanel.apps.models import App
from skypanel.apps.queries import get_app
from skypanel.deployments.models import Deployment, Run
from skypanel.deployments.queries import get_deployment, get_run
from skypanel.errors import Forbidden, NotFound, Unauthenticated
from skypanel.http.context import Services, ServicesDep
from skypanel.http.log_filters import Filters, FiltersDep
from skypanel.http.paging import cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, ResponseBody
from skypanel.http.session import ReadSession
from skypanel.http.viewer import CurrentViewer, identify
from skypanel.logs.chain import Chain, streams_of
from skypanel.logs.follow import follow
from skypanel.orgs.membership import the_viewer

router = api_router(prefix="/api/paas/apps/{id}", tag="logs")

FINAL = frozenset({"running", "superseded", "failed", "cancelled"})
STREAMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events `log` and `end`"}
}


class LogLineBody(ResponseBody):
    ts: str
    source: Literal["build", "app", "router", "system"]
    replica: str
    level: Literal["debug", "info", "warn", "error"]
    message: str
    cursor: str


Limit = Annotated[int, Query(ge=1, le=1000, description="Lines per page")]
Cursor = Annotated[str | None, Query(max_length=60, description="`next_cursor` of the page before")]
Tail = Annotated[int, Query(ge=0, le=1000, description="Lines to begin with")]
LastEventId = Annotated[str | None, Header(max_length=60, description="Go on after this line")]


@router.get("/logs", responses=problems(404), summary="Lines of an application, newest page first")
def list_log_lines(
    app: ViewedApp, services: ServicesDep, filters: FiltersDep, limit: Limit = 200, cursor: Cursor = None
) -> PageBody[LogLineBody]:
    with cursor_checked():
        page = services.logs.query(f"app:{app.id}", replace(filters.query, limit=limit, before=cursor))
    return PageBody(
        items=[LogLineBody.model_validate(line_body(line)) for line in page.lines], next_cursor=page.next_before
    )


@router.get(
    "/logs/stream", response_class=StreamingResponse, responses=STREAMS | problems(404), summary="Lines as they come"
)
def follow_log_lines(
    request: Request,
    app: ViewedApp,
    viewer: CurrentViewer,
    services: ServicesDep,
    filters: FiltersDep,
    tail: Tail = 50,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Events `log`, their id is the line's cursor; comments keep the connection alive. A client that comes back with
    `Last-Event-ID` gets what it missed."""
    stream = f"app:{app.id}"
    if last_event_id:
        with cursor_checked():
            services.logs.position(stream, last_event_id)
    query = replace(filters.query, limit=tail, after=last_event_id or None)
    batches = as_generator(follow(services.logs, stream, query, idle_s=IDLE_S))
    return EventStream(request, batches, Watch(allowed=_still_allowed(request, services, app, viewer.organization_id)))


@router.get("/deployments/{version}/logs", responses=problems(404), summary="The log of a deployment, from its start")
def list_deployment_log_lines(
    app: ViewedApp,
    version: Version,
    session: ReadSession,
    services: ServicesDep,
    filters: FiltersDep,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> PageBody[LogLineBody]:
    """A rollback shows the build log it inherits, then its own lines."""
    deployment = get_deployment(session, app=app, version=version)
    return _page(Chain(services.logs, streams_of(deployment)), filters, limit, cursor)


@router.get(
    "/deployments/{version}/logs/stream",
    response_class=StreamingResponse,
    responses=STREAMS | problems(404),
    summary="The log of a deployment as it comes",
)
def follow_deployment_log_lines(
    request: Request,
    app: ViewedApp,
    viewer: CurrentViewer,
    version: Version,
    session: ReadSession,
    services: ServicesDep,
    filters: FiltersDep,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """From the first line on. Ends with an event `end` `{"status", "reason"}` when the deployment is finished."""
    deployment = get_deployment(session, app=app, version=version)

    def ended() -> End | None:
        with services.database.reading() as looking:
            now = looking.get(Deployment, deployment.id)
            final = now is None or now.status in FINAL
            return {"status": now.status if now else "gone", "reason": now.reason if now else None} if final else None

    watch = Watch(allowed=_still_allowed(request, services, app, viewer.organization_id), ended=ended)
    return _follow(request, Chain(services.logs, streams_of(deployment)), filters, last_event_id, watch)


@router.get("/runs/{run_id}/logs", responses=problems(404), summary="The output of a run, from its start")
def list_run_log_lines(
    app: ViewedApp,
    run_id: RunId,
    session: ReadSession,
    services: ServicesDep,
    filters: FiltersDep,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> PageBody[LogLineBody]:
    run = get_run(session, app=app, run_id=run_id)
    return _page(Chain(services.logs, [f"run:{run.id}"]), filters, limit, cursor)


@router.get(
    "/runs/{run_id}/logs/stream",
    response_class=StreamingResponse,
    responses=STREAMS | problems(404),
    summary="The output of a run as it comes",
)
def follow_run_log_lines(
    request: Request,
    app: ViewedApp,
    viewer: CurrentViewer,
    run_id: RunId,
    session: ReadSession,
    services: ServicesDep,
    filters: FiltersDep,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """From the first line on. Ends with an event `end` `{"status", "exit_code", "reason"}`."""
    run = get_run(session, app=app, run_id=run_id)

    def ended() -> End | None:
        with services.database.reading() as looking:
            now = looking.get(Run, run.id)
            if now is None or now.finished_at is None:
                return None if now is not None else {"status": "gone", "exit_code": None, "reason": None}
            return {"status": now.status, "exit_code": now.exit_code, "reason": now.reason}

    watch = Watch(allowed=_still_allowed(request, services, app, viewer.organization_id), ended=ended)
    return _follow(request, Chain(services.logs, [f"run:{run.id}"]), filters, last_event_id, watch)


def _page(chain: Chain, filters: Filters, limit: int, cursor: str | None) -> PageBody[LogLineBody]:
    with cursor_checked():
        lines, next_cursor = chain.page(replace(filters.query, limit=limit, after=cursor))
    return PageBody(items=[LogLineBody.model_validate(line_body(line)) for line in lines], next_cursor=next_cursor)


def _follow(
    request: Request, chain: Chain, filters: Filters, last_event_id: str | None, watch: Watch
) -> StreamingResponse:
    query = replace(filters.query, after=last_event_id or None)
    with cursor_checked():
        chain.check(query)
    return EventStream(request, as_generator(chain.follow(query, idle_s=IDLE_S / 2)), watch)


def _still_allowed(request: Request, services: Services, app: App, organization_id: str) -> Callable[[], bool]:
    """Asks again what was asked when the stream began."""
    token = request.headers.get("authorization", "").partition(" ")[2]

    def allowed() -> bool:
        try:
            with services.database.reading() as session:
                user = identify(request, session, token).user
                viewer = the_viewer(session, user=user, organization=organization_id, address=None)
                get_app(session, viewer, app.id)
        except (Unauthenticated, Forbidden, NotFound):
            return False
        return True

    return allowed
