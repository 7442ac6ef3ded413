"""Registration, sign-in and sign-out, API tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, Field

from skypanel.accounts import tokens
from skypanel.accounts.login import login
from skypanel.accounts.models import ApiToken
from skypanel.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from skypanel.accounts.sessions import SignedIn, logout
from skypanel.api.people import MembershipBody, UserBody, membership_body
from skypanel.db import Session
from skypanel.errors import Conflict
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentIdentity, CurrentUser
from skypanel.http.wallet import opening
from skypanel.orgs.membership import organizations_of
from skypanel.orgs.register import register

router = api_router(prefix="/api/auth", tag="auth", signed_in=False)


async def _password_turn() -> AsyncIterator[None]:
    yield


# Argon2 takes memory and a core for as long as it runs: a flood of sign-ins waits here, without taking threads.
PasswordTurn = Annotated[None, Depends(_password_turn, scope="function", max_concurrency=4)]


class RegisterBody(RequestBody):
    email: str = Field(max_length=254, examples=["ada@example.com"])
    password: str = Field(
        description=f"{MIN_LENGTH} to {MAX_LENGTH} characters",
        max_length=MAX_LENGTH,
        examples=["correct horse battery"],
    )
    name: str = Field(min_length=1, max_length=120, examples=["Ada"])
    organization: str | None = Field(
        default=None, max_length=120, description="Name of the organization to create", examples=["Analytical Engines"]
    )
    invitation: str | None = Field(default=None, max_length=100, description="Token of an invitation")


class LoginBody(RequestBody):
    email: str = Field(max_length=254, examples=["ada@example.com"])
    password: str = Field(max_length=MAX_LENGTH, examples=["correct horse battery"])


class SignedInBody(ResponseBody):
    token: str = Field(description="For `Authorization: Bearer …`")
    expires_at: Timestamp
    user: UserBody
    organizations: list[MembershipBody]


class MeBody(ResponseBody):
    user: UserBody
    organizations: list[MembershipBody]


class TokenBody(ResponseBody):
    id: str
    name: str = Field(examples=["ci"])
    hint: str = Field(description="The token's first characters", examples=["skp_a1b2"])
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None


class NewTokenRequest(RequestBody):
    name: str = Field(min_length=1, max_length=80, examples=["ci"])
    expires_at: AwareDatetime | None = Field(default=None, description="Left out: it does not expire")


class NewTokenBody(ResponseBody):
    token: str = Field(description="Shown this once", examples=["skp_…"])
    api_token: TokenBody


@router.post("/register", status_code=201, responses=problems(403, 404, 409, 429))
def register_account(
    body: RegisterBody, services: ServicesDep, address: ClientAddress, _: PasswordTurn
) -> SignedInBody:
    """Makes an account, and with it an organization that it owns or the membership it was invited to."""
    signed_in = register(
        services.database,
        policy=services.auth,
        email=body.email,
        password=body.password,
        name=body.name,
        organization=body.organization,
        invitation=body.invitation,
        address=address,
        now=services.clock.now(),
        opened=opening(services, credited=True),
    )
    return _signed_in(services, signed_in)


@router.post("/login", responses=problems(401, 429))
def log_in(body: LoginBody, services: ServicesDep, address: ClientAddress, _: PasswordTurn) -> SignedInBody:
    """Signs in with a password. Too many failures of an account or from an address are answered with 429."""
    signed_in = login(
        services.database,
        policy=services.auth,
        email=body.email,
        password=body.password,
        address=address,
        now=services.clock.now(),
    )
    return _signed_in(services, signed_in)


@router.post("/logout", status_code=204, responses=problems(401, 409))
def log_out(session: WriteSession, identity: CurrentIdentity, services: ServicesDep) -> None:
    """Ends the sign-in: its token is refused from now on."""
    if identity.session_id is None:
        raise Conflict("An API token is no sign-in; revoke it by DELETE /api/auth/tokens/{id}.", code="not_signed_in")
    logout(session, session_id=identity.session_id, now=services.clock.now())


@router.get("/me", responses=problems(401))
def get_me(session: ReadSession, user: CurrentUser) -> MeBody:
    """The signed-in user and the organizations he is a member of."""
    return MeBody(user=UserBody.model_validate(user), organizations=_organizations(session, user.id))


@router.get("/tokens", responses=problems(401))
def list_api_tokens(session: ReadSession, user: CurrentUser, page: PagingDep) -> PageBody[TokenBody]:
    """The user's API tokens, newest first."""
    with cursor_checked():
        found = tokens.list_tokens(session, user_id=user.id, limit=page.limit, cursor=page.cursor)
    return page_body(found, _token)


@router.post("/tokens", status_code=201, responses=problems(401, 403))
def create_api_token(
    body: NewTokenRequest, session: WriteSession, identity: CurrentIdentity, services: ServicesDep
) -> NewTokenBody:
    """Makes an API token for programs. It is shown this once."""
    tokens.require_sign_in(identity)
    made = tokens.create_token(
        session,
        user_id=identity.user.id,
        name=body.name,
        expires_at=body.expires_at,
        now=services.clock.now(),
    )
    return NewTokenBody(token=made.token.reveal(), api_token=_token(made.row))


@router.delete("/tokens/{id}", status_code=204, responses=problems(401, 404))
def revoke_api_token(id: str, session: WriteSession, user: CurrentUser, services: ServicesDep) -> None:
    """Revokes an API token at once."""
    tokens.revoke_token(session, user_id=user.id, token_id=id, now=services.clock.now())


def _signed_in(services: Services, signed_in: SignedIn) -> SignedInBody:
    with services.database.reading() as session:
        organizations = _organizations(session, signed_in.user.id)
    return SignedInBody(
        token=signed_in.token.reveal(),
        expires_at=signed_in.expires_at,
        user=UserBody.model_validate(signed_in.user),
        organizations=organizations,
    )


def _organizations(session: Session, user_id: str) -> list[MembershipBody]:
    return [membership_body(organization, role) for organization, role in organizations_of(session, user_id=user_id)]


def _token(row: ApiToken) -> TokenBody:
    return TokenBody.model_validate(row)
