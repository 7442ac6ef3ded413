from __future__ import annotations

from typing import Protocol


class MailFailed(Exception):
    """It was not taken; the message says why. Trying again later may help."""


class Mail(Protocol):
    def send(self, *, to: str, subject: str, text: str) -> None:
        """Raises MailFailed."""
        ...


class NoMail:
    """Of a platform without a mail server: everything is in the activity feed too."""

    def send(self, *, to: str, subject: str, text: str) -> None:
        del to, subject, text
