"""What the platform's operator sees and sets over all organizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from skypanel.activity.record import Actor
from skypanel.api.admin_queries import OrganizationRow, organization_rows, overview
from skypanel.billing.credit import set_billed
from skypanel.billing.ledger import balances
from skypanel.billing.wallet import suspensions, told
from skypanel.db import Session
from skypanel.http.context import ClientAddress, Services, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import Amount, PageBody, RequestBody, ResponseBody, Timestamp
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import PlatformAdmin
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.all_organizations import any_organization, list_all_organizations
from skypanel.orgs.models import Organization
from skypanel.orgs.organizations import set_limits

router = api_router(prefix="/api/admin/paas", tag="admin")


class OverviewBody(ResponseBody):
    users: int
    organizations: int
    apps: dict[str, int] = Field(description="By status", examples=[{"running": 3, "stopped": 1}])
    deployments_last_day: dict[str, int] = Field(description="By status", examples=[{"superseded": 4, "running": 3}])
    replicas: dict[str, int] = Field(description="By state, those that are gone left out", examples=[{"healthy": 5}])


class AdminOrganizationBody(ResponseBody):
    id: str
    slug: str
    name: str
    status: str
    members: int
    apps: int
    max_apps: int
    billed: bool = Field(description="Its wallet pays for what it uses")
    balance: Amount
    currency: str = Field(examples=["USD"])
    suspended_for: Literal["funds", "cap", "admin"] | None
    suspended_reason: str | None = Field(description="A sentence for people")
    created_at: Timestamp


class OneAdminOrganization(ResponseBody):
    organization: AdminOrganizationBody


class LimitsRequest(RequestBody):
    """What is left out stays."""

    max_apps: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Applications it may have; null: the platform's setting"
    )
    billed: bool = Field(default=True, description="Its wallet pays for what it uses, from the next charge on")


@router.get("/overview", responses=problems(403))
def get_admin_overview(session: ReadSession, _: PlatformAdmin, services: ServicesDep) -> OverviewBody:
    """The platform at a glance."""
    return OverviewBody.model_validate(overview(session, now=services.clock.now()))


@router.get("/organizations", responses=problems(403))
def list_admin_organizations(
    session: ReadSession, _: PlatformAdmin, page: PagingDep, services: ServicesDep
) -> PageBody[AdminOrganizationBody]:
    """All organizations, newest first."""
    with cursor_checked():
        found = list_all_organizations(session, limit=page.limit, cursor=page.cursor)
    return PageBody(items=_organizations(session, services, found.items), next_cursor=found.next_cursor)


@router.get("/organizations/{id}", responses=problems(403, 404))
def get_admin_organization(
    id: str, session: ReadSession, _: PlatformAdmin, services: ServicesDep
) -> OneAdminOrganization:
    """One organization, by id or slug."""
    return OneAdminOrganization(organization=_organizations(session, services, [any_organization(session, id)])[0])


@router.patch("/organizations/{id}", responses=problems(403, 404))
def set_organization_limits(
    id: str,
    body: LimitsRequest,
    session: WriteSession,
    admin: PlatformAdmin,
    address: ClientAddress,
    services: ServicesDep,
) -> OneAdminOrganization:
    """Sets an organization's own limits, and whether it pays."""
    organization = any_organization(session, id)
    by, now = Actor(admin.email, address), services.clock.now()
    if "max_apps" in body.model_fields_set:
        set_limits(session, organization=organization, max_apps=body.max_apps, by=by, now=now)
    if "billed" in body.model_fields_set:
        set_billed(session, organization, billed=body.billed, by=by, now=now, currency=services.currency)
    session.flush()
    return OneAdminOrganization(organization=_organizations(session, services, [organization])[0])


def _organizations(
    session: Session, services: Services, organizations: Sequence[Organization]
) -> list[AdminOrganizationBody]:
    ids = [organization.id for organization in organizations]
    left, why = balances(session, ids), suspensions(session, ids)
    return [
        _organization(services, row, left[row.organization.id], why.get(row.organization.id))
        for row in organization_rows(session, organizations)
    ]


def _organization(services: Services, row: OrganizationRow, left: int, why: str | None) -> AdminOrganizationBody:
    organization = row.organization
    return AdminOrganizationBody.model_validate(
        {
            "id": organization.id,
            "slug": organization.slug,
            "name": organization.name,
            "status": organization.status,
            "members": row.members,
            "apps": row.apps,
            "max_apps": services.max_apps_per_org if organization.max_apps is None else organization.max_apps,
            "billed": organization.billed,
            "balance": to_decimal_string(left),
            "currency": services.currency,
            "suspended_for": why,
            "suspended_reason": told(why),
            "created_at": organization.created_at,
        }
    )
