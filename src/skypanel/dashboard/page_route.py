"""Routes that answer people: an error is a page that says what to do, a missing sign-in leads to the sign-in page."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from skypanel.dashboard.cookies import SESSION
from skypanel.dashboard.no_organization import NoOrganization
from skypanel.dashboard.pages import page
from skypanel.errors import SkyPanelError, TooMany, Unauthenticated

ABOUT_MONEY = {"funds_missing": "The wallet does not carry this", "organization_suspended": "Suspended"}


class PageRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await plain(request)
            except NoOrganization:
                return see("/organizations")
            except Unauthenticated:
                asked_for = request.url.path if request.method == "GET" else ""
                response: Response = see(f"/login?next={quote(asked_for)}" if asked_for else "/login")
                response.delete_cookie(SESSION, path="/")
                return response
            except SkyPanelError as error:
                helps = error.code in ABOUT_MONEY
                title = ABOUT_MONEY.get(error.code, error.title)
                response = _error_page(request, error.status, title, error.detail, wallet=helps)
                if isinstance(error, TooMany):
                    response.headers["Retry-After"] = str(error.retry_after_s)
                return response
            except RequestValidationError:
                detail = "The form was not complete. Go back and fill in every field."
                return _error_page(request, 422, "The form is not complete", detail)

        return handle


def _error_page(request: Request, status: int, title: str, detail: str, *, wallet: bool = False) -> Response:
    """`wallet`: the wallet's page helps."""
    return page(
        request, "error.html", status=status, title=title, detail=detail, back=_came_from(request), wallet=wallet
    )


def _came_from(request: Request) -> str | None:
    """The page of ours that held the form. Never an address elsewhere."""
    referrer = urlsplit(request.headers.get("referer", ""))
    ours = request.method == "POST" and referrer.netloc == request.url.netloc and referrer.path.startswith("/")
    return referrer.path if ours and not referrer.path.startswith("//") else None


def page_router() -> APIRouter:
    return APIRouter(route_class=PageRoute, include_in_schema=False)


def see(path: str) -> RedirectResponse:
    """After a form: the browser asks for `path` anew."""
    return RedirectResponse(path, status_code=303)
