"""What the platform's operator sees and sets over all organizations."""

from __future__ import annotations

from pydantic import Field

from skypanel.activity.record import Actor
from skypanel.api.admin_queries import OrganizationRow, list_organizations, organization_row, overview
from skypanel.http.context import ClientAddress, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import PlatformAdmin
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
    created_at: Timestamp


class OneAdminOrganization(ResponseBody):
    organization: AdminOrganizationBody


class LimitsRequest(RequestBody):
    max_apps: int | None = Field(
        ge=0, le=1_000_000, description="Applications it may have; null: the platform's setting"
    )


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
        found = list_organizations(session, limit=page.limit, cursor=page.cursor)
    return page_body(found, lambda row: _organization(row, services.max_apps_per_org))


@router.get("/organizations/{id}", responses=problems(403, 404))
def get_admin_organization(
    id: str, session: ReadSession, _: PlatformAdmin, services: ServicesDep
) -> OneAdminOrganization:
    """One organization, by id or slug."""
    return OneAdminOrganization(organization=_organization(organization_row(session, id), services.max_apps_per_org))


@router.patch("/organizations/{id}", responses=problems(403, 404))
def set_organization_limits(
    id: str,
    body: LimitsRequest,
    session: WriteSession,
    admin: PlatformAdmin,
    address: ClientAddress,
    services: ServicesDep,
) -> OneAdminOrganization:
    """Sets an organization's own limits."""
    row = organization_row(session, id)
    set_limits(
        session,
        organization=row.organization,
        max_apps=body.max_apps,
        by=Actor(admin.email, address),
        now=services.clock.now(),
    )
    return OneAdminOrganization(organization=_organization(row, services.max_apps_per_org))


def _organization(row: OrganizationRow, platform_max_apps: int) -> AdminOrganizationBody:
    organization = row.organization
    return AdminOrganizationBody(
        id=organization.id,
        slug=organization.slug,
        name=organization.name,
        status=organization.status,
        members=row.members,
        apps=row.apps,
        max_apps=platform_max_apps if organization.max_apps is None else organization.max_apps,
        created_at=organization.created_at,
    )
