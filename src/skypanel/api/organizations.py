"""Organizations and their members."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skypanel.activity.record import Actor
from skypanel.api.people import MembershipBody, RoleName, membership_body
from skypanel.billing.wallet import suspensions, told
from skypanel.db import Session
from skypanel.http.context import ClientAddress, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentUser, PathViewer
from skypanel.http.wallet import opening
from skypanel.orgs import members, organizations
from skypanel.orgs.members import Member
from skypanel.orgs.membership import organizations_of
from skypanel.orgs.models import Organization, Role

router = api_router(prefix="/api/organizations", tag="organizations")


class OrganizationRequest(RequestBody):
    name: str = Field(min_length=1, max_length=120, examples=["Analytical Engines"])


class OrganizationBody(MembershipBody):
    max_apps: int = Field(description="Applications it may have")
    suspended_for: Literal["funds", "cap", "admin"] | None = Field(description="Null while it is active")
    suspended_reason: str | None = Field(description="A sentence for people")


class OneOrganization(ResponseBody):
    organization: OrganizationBody


class MemberBody(ResponseBody):
    user_id: str
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada"])
    role: RoleName
    since: Timestamp


class OneMember(ResponseBody):
    member: MemberBody


class RoleRequest(RequestBody):
    role: RoleName


@router.get("")
def list_organizations(session: ReadSession, user: CurrentUser) -> PageBody[MembershipBody]:
    """The organizations the user is a member of, oldest first; all on one page."""
    mine = organizations_of(session, user_id=user.id)
    return PageBody(items=[membership_body(organization, role) for organization, role in mine])


@router.post("", status_code=201, responses=problems(409))
def create_organization(
    body: OrganizationRequest, session: WriteSession, user: CurrentUser, address: ClientAddress, services: ServicesDep
) -> OneOrganization:
    """Makes an organization that the user owns."""
    made = organizations.create_organization(
        session, name=body.name, owner=user, by=Actor(user.email, address), now=services.clock.now(),
        opened=opening(services, credited=False),
    )  # fmt: skip
    return _one(session, made, Role.OWNER, services.max_apps_per_org)


@router.get("/{id}", responses=problems(404))
def get_organization(session: ReadSession, viewer: PathViewer, services: ServicesDep) -> OneOrganization:
    """One organization, by id or slug."""
    found = organizations.get_organization(session, viewer)
    return _one(session, found, viewer.role, services.max_apps_per_org)


@router.patch("/{id}", responses=problems(403, 404))
def rename_organization(
    body: OrganizationRequest, session: WriteSession, viewer: PathViewer, services: ServicesDep
) -> OneOrganization:
    """Gives it another name. The slug stays."""
    renamed = organizations.rename_organization(session, viewer, name=body.name, now=services.clock.now())
    return _one(session, renamed, viewer.role, services.max_apps_per_org)


@router.get("/{id}/members", responses=problems(404))
def list_members(session: ReadSession, viewer: PathViewer, page: PagingDep) -> PageBody[MemberBody]:
    """The members with their roles."""
    with cursor_checked():
        found = members.list_members(session, viewer, limit=page.limit, cursor=page.cursor)
    return page_body(found, _member)


@router.get("/{id}/members/{user_id}", responses=problems(404))
def get_member(user_id: str, session: ReadSession, viewer: PathViewer) -> OneMember:
    """One member."""
    return OneMember(member=_member(members.get_member(session, viewer, user_id=user_id)))


@router.patch("/{id}/members/{user_id}", responses=problems(403, 404, 409))
def change_member_role(
    user_id: str, body: RoleRequest, session: WriteSession, viewer: PathViewer, services: ServicesDep
) -> OneMember:
    """Gives a member another role. Only owners make owners, and the last owner stays one."""
    changed = members.change_role(session, viewer, user_id=user_id, role=Role(body.role), now=services.clock.now())
    return OneMember(member=_member(changed))


@router.delete("/{id}/members/{user_id}", status_code=204, responses=problems(403, 404, 409))
def remove_member(user_id: str, session: WriteSession, viewer: PathViewer, services: ServicesDep) -> None:
    """Removes a member; with one's own id: leaves the organization. The last owner stays."""
    members.remove_member(session, viewer, user_id=user_id, now=services.clock.now())


def _one(session: Session, organization: Organization, role: Role, platform_max_apps: int) -> OneOrganization:
    why = suspensions(session, [organization.id]).get(organization.id)
    own = {
        "max_apps": platform_max_apps if organization.max_apps is None else organization.max_apps,
        "suspended_for": why, "suspended_reason": told(why),
    }  # fmt: skip
    shared = membership_body(organization, role).model_dump()
    return OneOrganization(organization=OrganizationBody.model_validate(shared | own))


def _member(member: Member) -> MemberBody:
    return MemberBody(
        user_id=member.user.id,
        email=member.user.email,
        name=member.user.name,
        role=member.role.value,
        since=member.since,
    )
