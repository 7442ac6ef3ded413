"""Users: made by registration or by the platform's operator, found by id or address."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from skypanel.accounts.email import normalized
from skypanel.accounts.errors import EmailTaken
from skypanel.accounts.models import User
from skypanel.accounts.passwords import Passwords, check_password
from skypanel.db import Session
from skypanel.errors import FieldError, Invalid

MAX_NAME = 120


def find_user(session: Session, *, email: str) -> User | None:
    return session.scalars(sa.select(User).where(User.email == email.strip().lower())).one_or_none()


def add_user(
    session: Session, *, email: str, name: str, password_hash: str, now: datetime, is_admin: bool = False
) -> User:
    """`password_hash` was made before the transaction began: hashing is slow on purpose. Raises EmailTaken."""
    user = User(
        email=normalized(email),
        name=_checked_name(name),
        password_hash=password_hash,
        is_admin=is_admin,
        created_at=now,
    )
    if find_user(session, email=user.email) is not None:
        raise EmailTaken
    try:
        with session.begin_nested():  # two registrations at once: the second one loses, not its transaction
            session.add(user)
    except IntegrityError as error:
        raise EmailTaken from error
    return user


def create_admin(
    session: Session, *, passwords: Passwords, email: str, name: str, password: str, now: datetime
) -> User:
    """A platform administrator, new or made of an existing account, whose password is set anew.
    Run by the operator on the machine itself; never reached over HTTP."""
    check_password(password)
    user = find_user(session, email=normalized(email))
    if user is None:
        return add_user(session, email=email, name=name, password_hash=passwords.hash(password), now=now, is_admin=True)
    user.is_admin = True
    user.password_hash = passwords.hash(password)
    return user


def _checked_name(name: str) -> str:
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= MAX_NAME:
        message = f"must have 1 to {MAX_NAME} characters"
        raise Invalid(f"The name {message}.", errors=[FieldError("name", message)])
    return plain
