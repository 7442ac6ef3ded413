"""Argon2id passwords.

19 MiB, two passes and one lane is OWASP's first recommendation: about 30 ms of one core, so that a sign-in costs a
machine of two cores little and a guesser much.
"""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from skypanel.errors import FieldError, Invalid

MIN_LENGTH = 10
MAX_LENGTH = 1024


def check_password(password: str) -> None:
    """Raises Invalid for one that is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        message = f"must have {MIN_LENGTH} to {MAX_LENGTH} characters"
        raise Invalid(f"The password {message}.", code="password_invalid", errors=[FieldError("password", message)])


class Passwords:
    def __init__(self, *, memory_kib: int = 19_456, passes: int = 2, lanes: int = 1) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """False for a wrong one. Without a stored hash (no such user) it takes as long and is False too."""
        try:
            matches = self._hasher.verify(stored or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and stored is not None

    def outdated(self, stored: str) -> bool:
        """Made with other parameters than today's: hash it again at the next sign-in."""
        return self._hasher.check_needs_rehash(stored)
