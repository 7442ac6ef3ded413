"""Invitations: made and revoked by those who manage members, accepted by whom they are for."""

from __future__ import annotations

from typing import cast

from pydantic import Field

from skypanel.api.people import MembershipBody, RoleName, membership_body
from skypanel.http.context import ClientAddress, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentUser, PathViewer
from skypanel.orgs import invitations
from skypanel.orgs.models import Invitation, Role

router = api_router(prefix="/api", tag="invitations")


class InvitationRequest(RequestBody):
    email: str = Field(max_length=254, examples=["grace@example.com"])
    role: RoleName = "developer"


class InvitationBody(ResponseBody):
    id: str
    email: str
    role: RoleName
    created_at: Timestamp
    expires_at: Timestamp


class NewInvitationBody(ResponseBody):
    invitation: InvitationBody
    token: str = Field(description="Shown this once: hand it to the person invited", examples=["ski_…"])


class AcceptRequest(RequestBody):
    token: str = Field(max_length=100, examples=["ski_…"])


class AcceptedBody(ResponseBody):
    organization: MembershipBody


@router.get("/organizations/{id}/invitations", responses=problems(403, 404))
def list_invitations(
    session: ReadSession, viewer: PathViewer, page: PagingDep, services: ServicesDep
) -> PageBody[InvitationBody]:
    """Invitations that can still be accepted, newest first."""
    with cursor_checked():
        found = invitations.list_invitations(
            session, viewer, now=services.clock.now(), limit=page.limit, cursor=page.cursor
        )
    return page_body(found, _invitation)


@router.post("/organizations/{id}/invitations", status_code=201, responses=problems(403, 404, 409))
def create_invitation(
    body: InvitationRequest, session: WriteSession, viewer: PathViewer, services: ServicesDep
) -> NewInvitationBody:
    """Invites an e-mail address. The token is valid for seven days and only for an account of that address."""
    made = invitations.create_invitation(
        session, viewer, email=body.email, role=Role(body.role), now=services.clock.now()
    )
    return NewInvitationBody(invitation=_invitation(made.row), token=made.token.reveal())


@router.delete("/organizations/{id}/invitations/{invitation_id}", status_code=204, responses=problems(403, 404))
def revoke_invitation(invitation_id: str, session: WriteSession, viewer: PathViewer, services: ServicesDep) -> None:
    """Takes an invitation back."""
    invitations.revoke_invitation(session, viewer, invitation_id=invitation_id, now=services.clock.now())


@router.post("/invitations/accept", responses=problems(404, 409))
def accept_invitation(
    body: AcceptRequest, session: WriteSession, user: CurrentUser, address: ClientAddress, services: ServicesDep
) -> AcceptedBody:
    """The signed-in user becomes a member of the organization that invited him."""
    organization, role = invitations.accept_invitation(
        session, user=user, token=body.token, address=address, now=services.clock.now()
    )
    return AcceptedBody(organization=membership_body(organization, role))


def _invitation(row: Invitation) -> InvitationBody:
    return InvitationBody(
        id=row.id,
        email=row.email,
        role=cast(RoleName, row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
