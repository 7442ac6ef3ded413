"""E-mail addresses: one form per address, so that one person is one account."""

from __future__ import annotations

import re

from skypanel.errors import FieldError, Invalid

_ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f<>\"(),:;\[\]\\]{1,64}@[^@\s\x00-\x1f\x7f<>\"(),:;\[\]\\]{1,189}")


def normalized(email: str) -> str:
    """Without blanks around it and in lower case. Raises Invalid for what is no address."""
    plain = email.strip().lower()
    local, _, domain = plain.partition("@")
    if _ADDRESS.fullmatch(plain) is None or ".." in plain or "." in (local[0], local[-1], domain[0], domain[-1]):
        message = "is no e-mail address"
        raise Invalid(f"{email[:80]!r} {message}.", code="email_invalid", errors=[FieldError("email", message)])
    return plain
