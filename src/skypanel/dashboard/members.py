"""Members of the organization and invitations to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import Response

from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.cookies import ORGANIZATION, OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.db import Session
from skypanel.http.context import Services, ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.orgs.access import Permission
from skypanel.orgs.invitations import create_invitation, list_invitations, revoke_invitation
from skypanel.orgs.members import change_role, list_members, remove_member
from skypanel.orgs.models import Invitation, Role

router = page_router()

SHOWN = 500
MEANS = {
    Role.OWNER: "everything, the organization and its bill too",
    Role.ADMIN: "members, and deleting applications",
    Role.DEVELOPER: "create, deploy, scale, configure",
    Role.VIEWER: "look at everything, change nothing",
}
UserId = Annotated[str, Form(max_length=60)]


@router.get("/members")
def show_members(request: Request, account: CurrentAccount, session: ReadSession, services: ServicesDep) -> Response:
    return _page(request, account, session, services)


@router.post("/members/role", dependencies=[OwnForm])
def give_role(
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    user_id: UserId,
    role: Annotated[Role, Form()],
) -> Response:
    member = change_role(session, account.viewer, user_id=user_id, role=role, now=services.clock.now())
    return tell(see("/members"), services, f"{member.user.email} is {member.role} now.")


@router.post("/members/remove", dependencies=[OwnForm])
def remove(account: CurrentAccount, session: WriteSession, services: ServicesDep, user_id: UserId) -> Response:
    remove_member(session, account.viewer, user_id=user_id, now=services.clock.now())
    if user_id == account.user.id:
        response = tell(see("/apps"), services, f"You left {account.organization.name}.")
        response.delete_cookie(ORGANIZATION, path="/")
        return response
    return tell(see("/members"), services, "Removed. That account can no longer see this organization.")


@router.post("/members/invite", dependencies=[OwnForm])
def invite(
    request: Request,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    email: Annotated[str, Form(max_length=254)],
    role: Annotated[Role, Form()],
) -> Response:
    """The link is shown this once: nobody can look it up later."""
    now = services.clock.now()
    made, refused = attempt(
        session, lambda: create_invitation(session, account.viewer, email=email, role=role, now=now)
    )
    link = f"{services.public_url}/invitations/{made.token.reveal()}" if made else None
    return _page(request, account, session, services, refused=refused, email="" if made else email, link=link)


@router.post("/members/revoke", dependencies=[OwnForm])
def revoke(
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    invitation_id: Annotated[str, Form(max_length=60)],
) -> Response:
    revoke_invitation(session, account.viewer, invitation_id=invitation_id, now=services.clock.now())
    return tell(see("/members"), services, "The invitation no longer works.")


def _page(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    *,
    refused: Refused | None = None,
    email: str = "",
    link: str | None = None,
) -> Response:
    refused = refused or Refused()
    now = services.clock.now()
    invitations: Sequence[Invitation] = ()
    if account.viewer.may(Permission.MANAGE_MEMBERS):
        invitations = list_invitations(session, account.viewer, now=now, limit=SHOWN, cursor=None).items
    return page(
        request,
        "members.html",
        status=refused.status,
        account=account,
        problem=refused.problem,
        refused=refused,
        members=list_members(session, account.viewer, limit=SHOWN, cursor=None).items,
        invitations=invitations,
        roles=[role for role in Role if role is not Role.OWNER or account.viewer.role is Role.OWNER],
        means=MEANS,
        email=email,
        link=link,
    )
