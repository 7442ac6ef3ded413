"""Sign-ins: begun, ended. The JWT carries the row's id, so that ending it ends the token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
import sqlalchemy as sa

from skypanel.accounts.authenticate import JWT_ALGORITHM
from skypanel.accounts.models import User, UserSession
from skypanel.accounts.policy import AuthPolicy
from skypanel.db import Session
from skypanel.kit.secret import Secret


@dataclass(frozen=True)
class SignedIn:
    user: User
    token: Secret
    expires_at: datetime


def start_session(session: Session, *, policy: AuthPolicy, user: User, now: datetime) -> SignedIn:
    """A new sign-in. The user's sign-ins that ended long ago are removed on the way."""
    session.execute(
        sa.delete(UserSession).where(UserSession.user_id == user.id, UserSession.expires_at < now - timedelta(days=30))
    )
    expires = now + timedelta(hours=policy.session_hours)
    row = UserSession(user_id=user.id, created_at=now, expires_at=expires)
    session.add(row)
    session.flush()
    claims = {"sub": user.id, "sid": row.id, "iat": int(now.timestamp()), "exp": int(expires.timestamp())}
    token = jwt.encode(claims, policy.jwt_key.reveal(), algorithm=JWT_ALGORITHM)
    return SignedIn(user, Secret(token), expires)


def logout(session: Session, *, session_id: str, now: datetime) -> None:
    """Ends a sign-in; its token is refused from now on. Idempotent."""
    session.execute(
        sa.update(UserSession)
        .where(UserSession.id == session_id, UserSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def end_all_sessions(session: Session, *, user_id: str, now: datetime) -> None:
    """Ends every sign-in of a user."""
    session.execute(
        sa.update(UserSession)
        .where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )
