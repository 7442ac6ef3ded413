"""Where a user belongs: the memberships, and the viewer they make of him."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.db import Session
from skypanel.errors import FieldError, Invalid, NotFound
from skypanel.orgs.access import Viewer
from skypanel.orgs.models import Membership, Organization, Role


def organizations_of(session: Session, *, user_id: str) -> list[tuple[Organization, Role]]:
    """The user's organizations with his role in each, oldest first."""
    rows = session.execute(
        sa.select(Organization, Membership.role)
        .join(Membership, Membership.organization_id == Organization.id)
        .where(Membership.user_id == user_id)
        .order_by(Organization.id)
    )
    return [(organization, Role(role)) for organization, role in rows]


def the_viewer(session: Session, *, user: User, organization: str | None, address: str | None) -> Viewer:
    """The user acting in `organization` (id or slug), or in his only one when None.
    Raises NotFound for one he is no member of, Invalid (`organization_required`) when it must be named."""
    query = (
        sa.select(Membership.organization_id, Membership.role)
        .join(Organization, Organization.id == Membership.organization_id)
        .where(Membership.user_id == user.id)
        .limit(2)
    )
    if organization is not None:
        query = query.where(sa.or_(Organization.id == organization, Organization.slug == organization))
    found = session.execute(query).all()
    if len(found) == 1:
        return Viewer(
            user_id=user.id,
            email=user.email,
            organization_id=found[0][0],
            role=Role(found[0][1]),
            is_platform_admin=user.is_admin,
            address=address,
        )
    if organization is not None:
        raise NotFound(f"You are in no organization {organization!r}.", code="organization_not_found")
    count = "several organizations" if found else "no organization yet"
    raise Invalid(
        f"You are in {count}: name the one to act in with the header X-Organization-Id.",
        code="organization_required",
        errors=[FieldError("X-Organization-Id", "is required")],
    )
