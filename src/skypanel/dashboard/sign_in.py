"""Signing in, registering, signing out, choosing the organization."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi.responses import Response

from skypanel.accounts.login import login
from skypanel.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from skypanel.accounts.sessions import SignedIn, logout
from skypanel.dashboard.account import CurrentPerson
from skypanel.dashboard.cookies import SESSION, OwnForm, set_cookie
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.errors import SkyPanelError
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.session import WriteSession
from skypanel.http.wallet import opening
from skypanel.orgs.register import register

router = page_router()

_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # no backslash anywhere: browsers read it as a slash


async def _password_turn() -> AsyncIterator[None]:
    yield


# Argon2 takes memory and a core for as long as it runs: a flood of sign-ins waits here, without taking threads.
PasswordTurn = Annotated[None, Depends(_password_turn, scope="function", max_concurrency=4)]
Next = Annotated[str, Query(alias="next", max_length=2000)]
Line = Annotated[str, Form(max_length=254)]
Password = Annotated[str, Form(max_length=MAX_LENGTH)]


@router.get("/")
def home(request: Request) -> Response:
    return see("/apps" if SESSION in request.cookies else "/login")


@router.get("/login")
def show_login(request: Request, wanted: Next = "") -> Response:
    return page(request, "login.html", email="", wanted=own_path(wanted))


@router.post("/login", dependencies=[OwnForm])
def submit_login(
    request: Request,
    services: ServicesDep,
    address: ClientAddress,
    email: Line,
    password: Password,
    _: PasswordTurn,
    wanted: Annotated[str, Form(alias="next", max_length=2000)] = "",
) -> Response:
    try:
        signed_in = login(
            services.database,
            policy=services.auth,
            email=email,
            password=password,
            address=address,
            now=services.clock.now(),
        )
    except SkyPanelError as error:
        return page(
            request, "login.html", status=error.status, email=email, wanted=own_path(wanted), problem=error.detail
        )
    return _enter(services, signed_in, own_path(wanted) or "/apps")


@router.get("/register")
def show_register(request: Request, invitation: Annotated[str, Query(max_length=100)] = "") -> Response:
    return page(request, "register.html", given={"invitation": invitation}, min_length=MIN_LENGTH)


@router.post("/register", dependencies=[OwnForm])
def submit_register(
    request: Request,
    services: ServicesDep,
    address: ClientAddress,
    email: Line,
    name: Line,
    password: Password,
    _: PasswordTurn,
    organization: Line = "",
    invitation: Line = "",
) -> Response:
    try:
        signed_in = register(
            services.database,
            policy=services.auth,
            email=email,
            password=password,
            name=name,
            organization=organization.strip() or None,
            invitation=invitation.strip() or None,
            address=address,
            now=services.clock.now(),
            opened=opening(services, credited=True),
        )
    except SkyPanelError as error:
        given = {"email": email, "name": name, "organization": organization, "invitation": invitation}
        return page(
            request, "register.html", status=error.status, given=given, problem=error.detail, min_length=MIN_LENGTH
        )
    return _enter(services, signed_in)


def own_path(wanted: str) -> str:
    """The page that was asked for before signing in; "" for an address that is not certainly a page of ours."""
    return wanted if _OWN_PATH.fullmatch(wanted) else ""


def _enter(services: Services, signed_in: SignedIn, path: str = "/apps") -> Response:
    response = see(path)
    lasts = int((signed_in.expires_at - services.clock.now()).total_seconds())
    set_cookie(response, services, SESSION, signed_in.token.reveal(), max_age_s=lasts)
    return response


@router.post("/logout", dependencies=[OwnForm])
def submit_logout(person: CurrentPerson, session: WriteSession, services: ServicesDep) -> Response:
    logout(session, session_id=person.session_id, now=services.clock.now())
    response = see("/login")
    response.delete_cookie(SESSION, path="/")
    return response
