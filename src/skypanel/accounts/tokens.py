"""Named API tokens for programs. A token is shown once, when it is made; only its SHA-256 is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.accounts.authenticate import API_TOKEN_PREFIX, Identity, token_digest
from skypanel.accounts.errors import TokenNotFound
from skypanel.accounts.models import ApiToken
from skypanel.db import Session
from skypanel.errors import FieldError, Forbidden, Invalid
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.kit.secret import Secret

MAX_NAME = 80


@dataclass(frozen=True)
class NewToken:
    row: ApiToken
    token: Secret


def list_tokens(session: Session, *, user_id: str, limit: int, cursor: str | None) -> Page[ApiToken]:
    """The user's tokens that were not revoked, newest first. Raises ValueError for a cursor that is none of ours."""
    query = (
        sa.select(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .order_by(ApiToken.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(ApiToken.id < str(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def create_token(session: Session, *, user_id: str, name: str, expires_at: datetime | None, now: datetime) -> NewToken:
    """Raises Invalid for an empty name or an expiry that has passed."""
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= MAX_NAME:
        message = f"must have 1 to {MAX_NAME} characters"
        raise Invalid(f"The token's name {message}.", errors=[FieldError("name", message)])
    if expires_at is not None and expires_at <= now:
        message = "must lie in the future"
        raise Invalid(f"The token's expiry {message}.", errors=[FieldError("expires_at", message)])
    token = API_TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        user_id=user_id, name=plain, digest=token_digest(token), hint=token[:8], created_at=now, expires_at=expires_at
    )
    session.add(row)
    session.flush()
    return NewToken(row, Secret(token))


def require_sign_in(identity: Identity) -> None:
    """A token must not make others: revoking it would not end what its finder made. Raises Forbidden."""
    if identity.token is not None:
        raise Forbidden("API tokens are made by a signed-in person, not with another token.", code="sign_in_required")


def revoke_token(session: Session, *, user_id: str, token_id: str, now: datetime) -> None:
    """Raises TokenNotFound when it is not the user's or was revoked before."""
    revoked = session.execute(
        sa.update(ApiToken)
        .where(ApiToken.id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiToken.id)
    ).one_or_none()
    if revoked is None:
        raise TokenNotFound
