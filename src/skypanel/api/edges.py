"""The one address that a cluster's ingress nodes ask: they wait here for changes, and tell by asking what they have.

Not below /api and not in its description: it is spoken by the platform itself, with a token of its own.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from skypanel.http.context import Services, ServicesDep
from skypanel.routing.follow import Asked, News, left, news, seen
from skypanel.routing.models import ROUTES

router = APIRouter()
LONGEST_WAIT_S = 3.0
LOOK_FOR_HANGUP_S = 0.5


class AskedQuery(BaseModel):
    name: Annotated[str, Field(max_length=120)]
    address: Annotated[str, Field(max_length=60)]
    probe_port: int
    http_port: int
    loaded: int

    def read(self) -> Asked:
        return Asked(self.name, self.address, self.probe_port, self.http_port, self.loaded)


@router.get("/_edge/routes", include_in_schema=False)
async def follow_routes(
    request: Request,
    services: ServicesDep,
    query: Annotated[AskedQuery, Query()],
    authorization: Annotated[str, Header()] = "",
) -> Response:
    """Changes as soon as there are any, or 204 after a while."""
    asked = query.read()
    token = services.edge_token
    if token is None or not hmac.compare_digest(authorization.encode(), f"Bearer {token.reveal()}".encode()):
        return Response(status_code=404)
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(told.set)

    subscription = services.changes.subscribe(wake)
    subscription.topics = frozenset({ROUTES})
    try:
        found = await run_in_threadpool(_look, services, asked, first=True)
        until = loop.time() + LONGEST_WAIT_S
        while found is None and (rest := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(told.wait(), min(rest, LOOK_FOR_HANGUP_S))
            except TimeoutError:
                if await request.is_disconnected():
                    await run_in_threadpool(_hung_up, services, asked)
                    return Response(status_code=204)
                continue
            told.clear()
            found = await run_in_threadpool(_look, services, asked, first=False)
    finally:
        subscription.close()
    if found is None:
        return Response(status_code=204)
    return JSONResponse({"revision": found.revision, "whole": found.whole, "routes": [list(r) for r in found.routes]})


def _look(services: Services, asked: Asked, *, first: bool) -> News | None:
    if first:
        with services.database.transaction() as session:
            seen(session, asked, services.clock.now())
    with services.database.reading() as session:
        return news(session, asked.loaded)


def _hung_up(services: Services, asked: Asked) -> None:
    with services.database.transaction() as session:
        left(session, asked.name, services.clock.now())
