"""Logs of an application: filtered, live, and the lines around one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import Response

from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import app_view, seen_app
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.log_lines import lines_html
from skypanel.dashboard.page_route import page_router
from skypanel.db import Session
from skypanel.deployments.queries import replicas_of
from skypanel.drivers.logstore.port import Line
from skypanel.drivers.logstore.port import Query as LogQuery
from skypanel.http.context import Services, ServicesDep
from skypanel.http.log_filters import LEVELS, SOURCES, FiltersDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession
from skypanel.logs.follow import follow

router = page_router()

SHOWN = 300
AROUND = 100  # lines before and after the one that was clicked
IDLE_S = 5.0
RANGES = {
    "15m": ("last 15 minutes", timedelta(minutes=15)),
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
}


@router.get("/apps/{id}/logs")
def show_logs(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    filters: FiltersDep,
    range: Annotated[str, Query(max_length=10)] = "",
    before: Annotated[str | None, Query(max_length=60)] = None,
    around: Annotated[str | None, Query(max_length=60)] = None,
) -> Response:
    wanted = filters.query
    if range in RANGES:
        since = services.clock.now() - RANGES[range][1]
        wanted = replace(wanted, since_ns=int(since.timestamp() * 1_000_000_000))
    chosen = {
        "source": ",".join(wanted.sources),
        "level": ",".join(wanted.levels),
        "replica": ",".join(wanted.replicas),
        "search": wanted.search or "",
        "range": range if range in RANGES else "",
    }
    kept = urlencode({name: value for name, value in chosen.items() if value})

    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        stream = f"app:{app.id}"
        with cursor_checked():
            lines, older = _lines(services, stream, wanted, before=before, around=around)

        def follow_on(after: str | None):  # type: ignore[no-untyped-def]  # as View.follow
            if after:
                services.logs.position(stream, after)
            return follow(services.logs, stream, replace(wanted, limit=0, after=after), idle_s=IDLE_S)

        return app_view(
            session,
            services,
            app,
            "app/logs.html",
            tab="logs",
            follow=None if before or around else follow_on,
            line_address=f"?{kept}&around=" if kept else "?around=",
            lines=lines,
            lines_html=lines_html,
            older=older,
            around=around,
            follows=not (before or around),
            chosen=chosen,
            kept=kept,
            sources=SOURCES,
            levels=LEVELS,
            ranges=[(name, label) for name, (label, _) in RANGES.items()],
            replicas=sorted({f"{one.process_type}.{one.position}" for one in replicas_of(session, app=app)}),
        )

    return live_page(request, account, session, load)


def _lines(
    services: Services, stream: str, wanted: LogQuery, *, before: str | None, around: str | None
) -> tuple[Sequence[Line], str | None]:
    """The lines to show and the cursor for those before them. Raises ValueError for a cursor that is none."""
    if around is None:
        page = services.logs.query(stream, replace(wanted, limit=SHOWN, before=before))
        return page.lines, page.next_before
    # Around a line everything is shown, whatever was filtered: that is what one clicks it for.
    earlier = services.logs.query(stream, LogQuery(limit=AROUND, before=around))
    begin = earlier.lines[-1].cursor if earlier.lines else None
    later = services.logs.query(stream, LogQuery(limit=AROUND + 1, after=begin or "0" * 20))
    return [*earlier.lines, *later.lines], earlier.next_before
