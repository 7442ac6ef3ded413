"""Routes of the API: idempotent where asked, their problems documented."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from skypanel.http.context import services
from skypanel.http.idempotency import Replay, attempt_of, keep
from skypanel.http.problems import problems


class ApiRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.method != "POST" or "idempotency-key" not in request.headers:
                return await plain(request)
            attempt = attempt_of(request, await request.body())
            request.state.idempotency = attempt
            if attempt is None:
                return await plain(request)
            try:
                response = await plain(request)
            except Replay:
                assert attempt.replay is not None
                return attempt.replay
            # The request's transaction is still open here: it is committed when this function has returned.
            if hasattr(response, "body"):
                await run_in_threadpool(keep, attempt, services(request).vault, response)
            return response

        return handle


def api_router(*, prefix: str, tag: str, signed_in: bool = True) -> APIRouter:
    """A router whose operations document the problems every one of them may answer with. Names of endpoint functions
    are the operation ids: unique over the whole API."""
    common = problems(401, 422) if signed_in else problems(422)
    return APIRouter(prefix=prefix, tags=[tag], route_class=ApiRoute, responses=common)
