"""Choosing and making organizations, and accepting an invitation to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from skypanel.activity.record import Actor
from skypanel.dashboard.account import CurrentAccount, CurrentPerson, Person
from skypanel.dashboard.cookies import ORGANIZATION, OwnForm, set_cookie
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.wallet import opening
from skypanel.orgs.invitations import accept_invitation
from skypanel.orgs.membership import organizations_of
from skypanel.orgs.models import Organization
from skypanel.orgs.organizations import create_organization

router = page_router()

Token = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


@router.post("/organization", dependencies=[OwnForm])
def choose_organization(
    account: CurrentAccount, services: ServicesDep, organization: Annotated[str, Form(max_length=60)]
) -> Response:
    """One that is not his is not among the choices and changes nothing."""
    if organization == "new":
        return see("/organizations/new")
    response = see("/apps")
    if any(one.id == organization for one in account.organizations):
        set_cookie(response, services, ORGANIZATION, organization)
    return response


@router.get("/organizations")
def show_organizations(request: Request, person: CurrentPerson, session: ReadSession) -> Response:
    """Where somebody without any organization is led, too."""
    memberships = organizations_of(session, user_id=person.user.id)
    return page(request, "organizations.html", person=person, memberships=memberships)


@router.get("/organizations/new")
def show_new_organization(request: Request, person: CurrentPerson) -> Response:
    return page(request, "new_organization.html", person=person, name="", refused=Refused())


@router.post("/organizations/new", dependencies=[OwnForm])
def make_organization(
    request: Request,
    person: CurrentPerson,
    session: WriteSession,
    services: ServicesDep,
    address: ClientAddress,
    name: Annotated[str, Form(max_length=200)],
) -> Response:
    by = Actor(person.user.email, address)
    made, refused = attempt(
        session,
        lambda: create_organization(
            session,
            name=name,
            owner=person.user,
            by=by,
            now=services.clock.now(),
            opened=opening(services, credited=False),
        ),
    )
    if made is None:
        return page(request, "new_organization.html", status=refused.status, person=person, name=name, refused=refused)
    return _into(services, made, f"{made.name} is yours. Invite its members here, or begin with an application.")


@router.get("/invitations/{token}")
def show_invitation(request: Request, token: Token, person: Person) -> Response:
    return page(request, "invitation.html", person=person, invitation=token, problem=None)


@router.post("/invitations/{token}", dependencies=[OwnForm])
def accept(
    request: Request,
    token: Token,
    person: CurrentPerson,
    session: WriteSession,
    services: ServicesDep,
    address: ClientAddress,
) -> Response:
    joined, refused = attempt(
        session,
        lambda: accept_invitation(session, user=person.user, token=token, address=address, now=services.clock.now()),
    )
    if joined is None:
        return page(
            request, "invitation.html", status=refused.status, person=person, invitation=token, problem=refused.problem
        )
    organization, role = joined
    return _into(services, organization, f"You are {role} of {organization.name} now.")


def _into(services: Services, organization: Organization, told: str) -> RedirectResponse:
    response = see("/apps")
    set_cookie(response, services, ORGANIZATION, organization.id)
    tell(response, services, told)
    return response
