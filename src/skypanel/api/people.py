"""Bodies that name people and where they belong."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skypanel.http.schema import ResponseBody, Timestamp
from skypanel.orgs.models import Organization, Role

RoleName = Literal["owner", "admin", "developer", "viewer"]


class UserBody(ResponseBody):
    id: str
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada"])
    is_admin: bool
    created_at: Timestamp


class MembershipBody(ResponseBody):
    """An organization as one of its members sees it in a list."""

    id: str
    slug: str = Field(examples=["analytical-engines"])
    name: str = Field(examples=["Analytical Engines"])
    role: RoleName
    status: str = Field(examples=["active"])
    created_at: Timestamp


def membership_body(organization: Organization, role: Role) -> MembershipBody:
    return MembershipBody(
        id=organization.id,
        slug=organization.slug,
        name=organization.name,
        role=role.value,
        status=organization.status,
        created_at=organization.created_at,
    )
