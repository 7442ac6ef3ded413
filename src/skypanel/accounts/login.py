"""Signing in with a password."""

from __future__ import annotations

from datetime import datetime

from skypanel.accounts.attempts import attempt_succeeded, begin_attempt
from skypanel.accounts.errors import CredentialsWrong
from skypanel.accounts.policy import AuthPolicy
from skypanel.accounts.sessions import SignedIn, start_session
from skypanel.accounts.users import find_user
from skypanel.db import Database


def login(
    database: Database, *, policy: AuthPolicy, email: str, password: str, address: str | None, now: datetime
) -> SignedIn:
    """Raises CredentialsWrong or TooMany.

    It takes the database and not a session, because it is two transactions by nature: a failure must stay written
    down when the request fails, and nobody may wait for the database while a password is hashed."""
    address_of_user = email.strip().lower()
    with database.transaction() as session:
        attempt = begin_attempt(
            session, email=address_of_user, address=address, limit=policy.login_failures_per_quarter, now=now
        )
        user = find_user(session, email=address_of_user)
        stored = user.password_hash if user is not None else None
    if not policy.passwords.verify(stored, password) or stored is None:
        raise CredentialsWrong
    rehashed = policy.passwords.hash(password) if policy.passwords.outdated(stored) else None
    with database.transaction() as session:
        user = find_user(session, email=address_of_user)
        if user is None or user.password_hash != stored:  # changed in between
            raise CredentialsWrong
        if rehashed is not None:
            user.password_hash = rehashed
        attempt_succeeded(session, attempt)
        return start_session(session, policy=policy, user=user, now=now)
