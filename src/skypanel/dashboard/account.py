"""Who looks at a page, and in which organization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from skypanel.accounts.models import User
from skypanel.billing.ledger import wallet_of
from skypanel.billing.wallet import Glance, glances
from skypanel.dashboard.cookies import ORGANIZATION, SESSION
from skypanel.dashboard.no_organization import NoOrganization
from skypanel.errors import NotFound, Unauthenticated
from skypanel.http.context import ClientAddress
from skypanel.http.session import DbSession
from skypanel.http.viewer import identify
from skypanel.nodes.list import count_lost
from skypanel.nodes.models import NODES
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
    wallet: Glance  # the organization's
    machines_lost: int = 0  # for platform admins alone

    @property
    def topics(self) -> frozenset[str]:
        """What the frame around each of his pages follows."""
        followed = {wallet_of(self.organization.id)}
        return frozenset(followed | {NODES} if self.user.is_admin else followed)

    def may(self, permission: str) -> bool:
        """For templates: `account.may("deploy")`. Raises ValueError for a permission that there is none of."""
        return self.viewer.may(Permission(permission))


@dataclass(frozen=True)
class SignedInPerson:
    """Somebody who may be in no organization at all."""

    user: User
    session_id: str


def current_person(request: Request, session: DbSession) -> SignedInPerson:
    """Raises Unauthenticated, which leads to the sign-in page."""
    token = request.cookies.get(SESSION)
    if not token:
        raise Unauthenticated("Sign in first.")
    identity = identify(request, session, token)
    if identity.session_id is None:
        raise Unauthenticated("API tokens are for programs. Sign in with your password.")
    return SignedInPerson(identity.user, identity.session_id)


def perhaps_person(request: Request, session: DbSession) -> SignedInPerson | None:
    try:
        return current_person(request, session)
    except Unauthenticated:
        return None


CurrentPerson = Annotated[SignedInPerson, Depends(current_person)]
Person = Annotated[SignedInPerson | None, Depends(perhaps_person)]


def current_account(request: Request, session: DbSession, address: ClientAddress) -> Account:
    """Raises Unauthenticated and NoOrganization, which lead to pages that help."""
    person = current_person(request, session)
    organizations = [organization for organization, _ in organizations_of(session, user_id=person.user.id)]
    if not organizations:
        raise NoOrganization
    wanted = request.cookies.get(ORGANIZATION)
    chosen = next((one for one in organizations if one.id == wanted), organizations[0])
    viewer = the_viewer(session, user=person.user, organization=chosen.id, address=address)
    lost = count_lost(session) if person.user.is_admin else 0
    wallet = glances(session, [chosen])[chosen.id]
    return Account(person.user, viewer, chosen, organizations, person.session_id, wallet, lost)


CurrentAccount = Annotated[Account, Depends(current_account)]


def require_platform_admin(account: Account) -> Account:
    """Raises NotFound for everybody else: there are no such pages for him."""
    if not account.user.is_admin:
        raise NotFound("There is no such page.")
    return account


def current_platform_admin(account: CurrentAccount) -> Account:
    return require_platform_admin(account)


PlatformAdminAccount = Annotated[Account, Depends(current_platform_admin)]
