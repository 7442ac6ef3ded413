"""Somebody who is in no organization."""

from __future__ import annotations

from skypanel.errors import NotFound


class NoOrganization(NotFound):
    """Leads to the page where one can be made."""

    def __init__(self) -> None:
        super().__init__("You are in no organization yet. Open the link of an invitation, or create one.")
