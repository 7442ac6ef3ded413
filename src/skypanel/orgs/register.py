"""Registration: an account, and with it an organization of one's own or the one that invited."""

from __future__ import annotations

from datetime import datetime

from skypanel.accounts.attempts import count_registration
from skypanel.accounts.email import normalized
from skypanel.accounts.errors import RegistrationClosed
from skypanel.accounts.passwords import check_password
from skypanel.accounts.policy import AuthPolicy
from skypanel.accounts.sessions import SignedIn, start_session
from skypanel.accounts.users import add_user
from skypanel.activity.record import Actor
from skypanel.db import Database
from skypanel.errors import FieldError, Invalid
from skypanel.orgs.invitations import accept_invitation, find_invitation
from skypanel.orgs.organizations import Opened, checked_name, create_organization


def register(
    database: Database,
    *,
    policy: AuthPolicy,
    email: str,
    password: str,
    name: str,
    organization: str | None,
    invitation: str | None,
    address: str | None,
    now: datetime,
    opened: Opened,
) -> SignedIn:
    """A new user, signed in: owner of the new `organization`, or member of the one whose `invitation` token he has (or
    both). Raises Invalid, EmailTaken, RegistrationClosed, InvitationNotFound, TooMany.

    It takes the database and not a session, so that the password is hashed outside of the transaction."""
    check_password(password)
    plain = normalized(email)
    if organization is not None:
        checked_name(organization)
    if invitation is None:
        if policy.registration == "invited":
            raise RegistrationClosed
        if organization is None:
            errors = [FieldError("organization", "is required")]
            raise Invalid("Name the organization to create, or pass the token of an invitation.", errors=errors)
    with database.transaction() as session:  # of its own: it stays written down when the registration fails
        count_registration(session, address=address, limit=policy.registrations_per_quarter, now=now)
    hashed = policy.passwords.hash(password)
    with database.transaction() as session:
        if invitation is not None:
            find_invitation(session, token=invitation, email=plain, now=now)
        user = add_user(session, email=plain, name=name, password_hash=hashed, now=now)
        if invitation is not None:
            accept_invitation(session, user=user, token=invitation, address=address, now=now)
        if organization is not None:
            by = Actor(user.email, address)
            create_organization(session, name=organization, owner=user, by=by, now=now, opened=opened)
        return start_session(session, policy=policy, user=user, now=now)
