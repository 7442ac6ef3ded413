"""Who looks at a page, and in which organization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from skypanel.accounts.models import User
from skypanel.dashboard.cookies import ORGANIZATION, SESSION
from skypanel.errors import NotFound, Unauthenticated
from skypanel.http.context import ClientAddress
from skypanel.http.session import DbSession
from skypanel.http.viewer import identify
from skypanel.orgs.access import Permission, Viewer
from skypanel.orgs.membership import organizations_of, the_viewer
from skypanel.orgs.models import Organization


@dataclass(frozen=True)
class Account:
    user: User
    viewer: Viewer
    organization: Organization
    organizations: Sequence[Organization]
    session_id: str

    def may(self, permission: str) -> bool:
        """For templates: `account.may("deploy")`. Raises ValueError for a permission that there is none of."""
        return self.viewer.may(Permission(permission))


def current_account(request: Request, session: DbSession, address: ClientAddress) -> Account:
    """Raises Unauthenticated, which leads to the sign-in page."""
    token = request.cookies.get(SESSION)
    if not token:
        raise Unauthenticated("Sign in first.")
    identity = identify(request, session, token)
    if identity.session_id is None:
        raise Unauthenticated("API tokens are for programs. Sign in with your password.")
    organizations = [organization for organization, _ in organizations_of(session, user_id=identity.user.id)]
    if not organizations:
        raise NotFound("You are in no organization yet. Ask somebody to invite you, or create one with the API.")
    wanted = request.cookies.get(ORGANIZATION)
    chosen = next((one for one in organizations if one.id == wanted), organizations[0])
    viewer = the_viewer(session, user=identity.user, organization=chosen.id, address=address)
    return Account(identity.user, viewer, chosen, organizations, identity.session_id)


CurrentAccount = Annotated[Account, Depends(current_account)]
