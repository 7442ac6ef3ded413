"""How people are let in: values that wiring takes from the settings and key files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skypanel.accounts.passwords import Passwords
from skypanel.kit.secret import Secret


@dataclass(frozen=True)
class AuthPolicy:
    jwt_key: Secret  # at least 32 characters; the content of keys/jwt.key
    passwords: Passwords = field(default_factory=Passwords)
    session_hours: int = 24
    login_failures_per_quarter: int = 10  # per e-mail address and per client address, in 15 minutes
    registrations_per_quarter: int = 20  # per client address, in 15 minutes
    registration: Literal["open", "invited"] = "open"

    def __post_init__(self) -> None:
        if len(self.jwt_key.reveal()) < 32:
            raise ValueError("the key for sign-ins (keys/jwt.key) needs at least 32 characters")
