"""Who asks, and in which organization he acts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from skypanel.accounts.authenticate import Identity, authenticate, needs_touch, touch
from skypanel.accounts.models import User
from skypanel.db import Session
from skypanel.errors import Forbidden, Unauthenticated
from skypanel.http.context import ClientAddress, Services, services
from skypanel.http.idempotency import claim
from skypanel.http.session import SAFE_METHODS, DbSession
from skypanel.orgs.access import Viewer
from skypanel.orgs.membership import the_viewer

bearer = HTTPBearer(auto_error=False, description="A sign-in's token (JWT) or an API token (`skp_…`)")


def identify(request: Request, session: Session, token: str) -> Identity:
    """The identity behind a token; notes at most once a minute that an API token was used.
    Raises Unauthenticated. For faces that carry the token elsewhere than in `Authorization`."""
    platform = services(request)
    now = platform.clock.now()
    identity = authenticate(session, jwt_key=platform.auth.jwt_key, token=token, now=now)
    if identity.token is not None and needs_touch(identity.token, now=now):
        _note_use(request, platform, session, identity.token.id)
    return identity


def _note_use(request: Request, platform: Services, session: Session, token_id: str) -> None:
    if request.method in SAFE_METHODS:  # its transaction only reads
        with platform.database.transaction() as writing:
            touch(writing, token_id=token_id, now=platform.clock.now())
    else:
        touch(session, token_id=token_id, now=platform.clock.now())


def current_identity(
    request: Request,
    session: DbSession,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Identity:
    if credentials is None:
        raise Unauthenticated("This needs `Authorization: Bearer <token>`. Sign in to get one.")
    identity = identify(request, session, credentials.credentials)
    platform = services(request)
    claim(request, session, platform.vault, user_id=identity.user.id, now=platform.clock.now())
    return identity


CurrentIdentity = Annotated[Identity, Depends(current_identity)]


async def current_user(identity: CurrentIdentity) -> User:
    return identity.user


CurrentUser = Annotated[User, Depends(current_user)]


async def platform_admin(user: CurrentUser) -> User:
    """Raises Forbidden for everybody but the platform's operators."""
    if not user.is_admin:
        raise Forbidden("This needs a platform administrator.", code="admin_required")
    return user


PlatformAdmin = Annotated[User, Depends(platform_admin)]


def current_viewer(
    session: DbSession,
    user: CurrentUser,
    address: ClientAddress,
    organization: Annotated[
        str | None,
        Header(
            alias="X-Organization-Id",
            max_length=60,
            description="Id or slug of the organization to act in; may be left out by a member of exactly one",
        ),
    ] = None,
) -> Viewer:
    return the_viewer(session, user=user, organization=organization, address=address)


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]


def path_viewer(id: str, session: DbSession, user: CurrentUser, address: ClientAddress) -> Viewer:
    """The viewer in the organization that the path names (`/api/organizations/{id}/…`)."""
    return the_viewer(session, user=user, organization=id, address=address)


PathViewer = Annotated[Viewer, Depends(path_viewer)]
