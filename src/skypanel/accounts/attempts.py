"""Attempts to sign in, limited per account and per client address, and to register, limited per client address.

An attempt to sign in is written down as a failure before the password is looked at and struck out when it was right,
so that a hundred guesses sent at once are a hundred counted guesses.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.accounts.models import LoginFailure
from skypanel.db import Session
from skypanel.errors import TooMany

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class LoginAttempt:
    email_subject: str
    ids: tuple[str, ...]


def begin_attempt(session: Session, *, email: str, address: str | None, limit: int, now: datetime) -> LoginAttempt:
    """Counts the attempt against the account (whether it exists or not) and the address.
    Raises TooMany, with the time until the oldest counted failure is forgotten; a refused attempt is not counted."""
    subjects = [f"email:{email[:254]}"] + ([f"address:{_household(address)}"] if address else [])
    for subject in sorted(subjects):
        _one_at_a_time(session, subject)
        wait = _wait_s(session, subject, limit, now)
        if wait:
            raise TooMany(
                f"Too many failed sign-ins. Try again in {_minutes(wait)}.", retry_after_s=wait, code="too_many_logins"
            )
    rows = _note(session, subjects, now)
    return LoginAttempt(subjects[0], tuple(row.id for row in rows))


def attempt_succeeded(session: Session, attempt: LoginAttempt) -> None:
    """The account's failures are forgotten, and this attempt at the address; other failures of the address stay."""
    session.execute(
        sa.delete(LoginFailure).where(
            sa.or_(LoginFailure.subject == attempt.email_subject, LoginFailure.id.in_(attempt.ids))
        )
    )


def count_registration(session: Session, *, address: str | None, limit: int, now: datetime) -> None:
    """Counts an attempt to register, whatever it ends in: it costs a password's hash and its answer tells whether an
    account exists. Raises TooMany; a refused attempt is not counted."""
    if address is None:
        return
    subject = f"registration:{_household(address)}"
    _one_at_a_time(session, subject)
    wait = _wait_s(session, subject, limit, now)
    if wait:
        raise TooMany(
            f"Too many registrations from your address. Try again in {_minutes(wait)}.",
            retry_after_s=wait,
            code="too_many_registrations",
        )
    _note(session, [subject], now)


def _note(session: Session, subjects: Sequence[str], now: datetime) -> list[LoginFailure]:
    rows = [LoginFailure(subject=subject, at=now) for subject in subjects]
    session.add_all(rows)
    session.execute(sa.delete(LoginFailure).where(LoginFailure.at <= now - WINDOW))
    session.flush()
    return rows


def _wait_s(session: Session, subject: str, limit: int, now: datetime) -> int:
    """0, or the seconds until the oldest counted attempt is forgotten."""
    newest = session.scalars(
        sa.select(LoginFailure.at)
        .where(LoginFailure.subject == subject, LoginFailure.at > now - WINDOW)
        .order_by(LoginFailure.at.desc())
        .limit(limit)
    ).all()
    return max(1, math.ceil((newest[-1] + WINDOW - now).total_seconds())) if len(newest) >= limit else 0


def _minutes(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def _household(address: str) -> str:
    """One guesser has a whole IPv6 network of 64 bits for himself: it counts as one address."""
    try:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    except ValueError:
        return address


def _one_at_a_time(session: Session, subject: str) -> None:
    # SQLite's writers are one at a time anyway.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(subject, 0))))
