"""Signing in, registering, signing out, choosing the organization."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from skypanel.accounts.login import login
from skypanel.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from skypanel.accounts.sessions import SignedIn, logout
from skypanel.dashboard.account import CurrentAccount
from skypanel.dashboard.cookies import ORGANIZATION, SESSION, OwnForm, set_cookie
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.errors import SkyPanelError
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.session import WriteSession
from skypanel.orgs.register import register

router = page_router()


async def _password_turn() -> AsyncIterator[None]:
    yield


# Argon2 takes memory and a core for as long as it runs: a flood of sign-ins waits here, without taking threads.
PasswordTurn = Annotated[None, Depends(_password_turn, scope="function", max_concurrency=4)]
Line = Annotated[str, Form(max_length=254)]
Password = Annotated[str, Form(max_length=MAX_LENGTH)]


@router.get("/")
def home(request: Request) -> Response:
    return see("/apps" if SESSION in request.cookies else "/login")


@router.get("/login")
def show_login(request: Request) -> Response:
    return page(request, "login.html", email="", problem=None)


@router.post("/login", dependencies=[OwnForm])
def submit_login(
    request: Request, services: ServicesDep, address: ClientAddress, email: Line, password: Password, _: PasswordTurn
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
        return page(request, "login.html", status=error.status, email=email, problem=error.detail)
    return _enter(services, signed_in)


@router.get("/register")
def show_register(request: Request) -> Response:
    return page(request, "register.html", given={}, problem=None, min_length=MIN_LENGTH)


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
        )
    except SkyPanelError as error:
        given = {"email": email, "name": name, "organization": organization, "invitation": invitation}
        return page(
            request, "register.html", status=error.status, given=given, problem=error.detail, min_length=MIN_LENGTH
        )
    return _enter(services, signed_in)


def _enter(services: Services, signed_in: SignedIn) -> Response:
    response = see("/apps")
    lasts = int((signed_in.expires_at - services.clock.now()).total_seconds())
    set_cookie(response, services, SESSION, signed_in.token.reveal(), max_age_s=lasts)
    return response


@router.post("/logout", dependencies=[OwnForm])
def submit_logout(account: CurrentAccount, session: WriteSession, services: ServicesDep) -> Response:
    logout(session, session_id=account.session_id, now=services.clock.now())
    response = see("/login")
    response.delete_cookie(SESSION, path="/")
    return response


@router.post("/organization", dependencies=[OwnForm])
def choose_organization(
    account: CurrentAccount, services: ServicesDep, organization: Annotated[str, Form(max_length=60)]
) -> Response:
    """One that is not his is not among the choices and changes nothing."""
    response = see("/apps")
    if any(one.id == organization for one in account.organizations):
        set_cookie(response, services, ORGANIZATION, organization)
    return response
