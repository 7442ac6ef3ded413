"""The dashboard's cookies, and the tokens that say a form is our own.

`skypanel_session` carries the sign-in's JWT, `skypanel_visit` a random value for visitors without one. A form's token
is an HMAC of whichever the visitor has, so that another site (an app on a sibling domain among them, for which
SameSite does nothing) can neither read nor make it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Annotated

from fastapi import Depends, Form, Request, Response

from skypanel.errors import Forbidden
from skypanel.http.context import Services, ServicesDep

SESSION = "skypanel_session"
VISIT = "skypanel_visit"
ORGANIZATION = "skypanel_organization"


def set_cookie(response: Response, services: Services, name: str, value: str, *, max_age_s: int | None = None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        path="/",
        httponly=True,
        samesite="lax",
        secure=services.public_url.startswith("https://"),
    )


def new_visit() -> str:
    return secrets.token_urlsafe(24)


def form_token(services: Services, subject: str) -> str:
    key = services.auth.jwt_key.reveal().encode()
    return hmac.new(key, b"skypanel form:" + subject.encode(), hashlib.sha256).hexdigest()


def subject_of(request: Request) -> str | None:
    return request.cookies.get(SESSION) or request.cookies.get(VISIT)


def own_form(
    request: Request, services: ServicesDep, form_token_given: Annotated[str, Form(alias="token", max_length=200)] = ""
) -> None:
    """Raises Forbidden (`form_expired`) for a form that no page of ours made for this visitor."""
    subject = subject_of(request)
    site = request.headers.get("sec-fetch-site", "same-origin")
    expected = form_token(services, subject) if subject is not None else ""
    genuine = subject is not None and hmac.compare_digest(expected.encode(), form_token_given.encode())
    if not genuine or site not in ("same-origin", "none"):
        raise Forbidden("This form has expired. Go back, reload the page and try again.", code="form_expired")


OwnForm = Depends(own_form)
