"""Who does a bearer token belong to?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
import sqlalchemy as sa

from skypanel.accounts.models import ApiToken, User, UserSession
from skypanel.db import Session
from skypanel.errors import Unauthenticated
from skypanel.kit.secret import Secret

API_TOKEN_PREFIX = "skp_"  # noqa: S105 - a prefix, no secret
JWT_ALGORITHM = "HS256"
LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Identity:
    """A user and what he showed: a sign-in or an API token, never both."""

    user: User
    session_id: str | None = None
    token: ApiToken | None = None


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def authenticate(session: Session, *, jwt_key: Secret, token: str, now: datetime) -> Identity:
    """Raises Unauthenticated for a token that is forged, expired, revoked or signed out: all look the same."""
    if token.startswith(API_TOKEN_PREFIX):
        return _by_api_token(session, token, now)
    return _by_sign_in(session, jwt_key, token, now)


def _by_api_token(session: Session, token: str, now: datetime) -> Identity:
    found = session.execute(
        sa.select(ApiToken, User)
        .join(User, User.id == ApiToken.user_id)
        .where(ApiToken.digest == token_digest(token), ApiToken.revoked_at.is_(None))
    ).one_or_none()
    if found is None or (found[0].expires_at is not None and found[0].expires_at <= now):
        raise _refused()
    return Identity(found[1], token=found[0])


def _by_sign_in(session: Session, key: Secret, token: str, now: datetime) -> Identity:
    try:
        # Times are compared with the platform's clock below, not with the machine's by the library.
        claims = jwt.decode(
            token,
            key.reveal(),
            algorithms=[JWT_ALGORITHM],
            options={"require": ["sub", "sid", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError as error:
        raise _refused() from error
    sid, expires = claims["sid"], claims["exp"]
    if not isinstance(sid, str) or not isinstance(expires, int | float) or expires <= now.timestamp():
        raise _refused()
    found = session.execute(
        sa.select(UserSession, User)
        .join(User, User.id == UserSession.user_id)
        .where(UserSession.id == sid, UserSession.user_id == claims["sub"], UserSession.revoked_at.is_(None))
    ).one_or_none()
    if found is None or found[0].expires_at <= now:
        raise _refused()
    return Identity(found[1], session_id=found[0].id)


def needs_touch(token: ApiToken, *, now: datetime) -> bool:
    return token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY


def touch(session: Session, *, token_id: str, now: datetime) -> None:
    """Notes that the token was used. Callers ask `needs_touch` first: at most one write a minute."""
    session.execute(sa.update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


def _refused() -> Unauthenticated:
    return Unauthenticated("The token is not valid, has expired or was revoked. Sign in again.", code="token_invalid")
