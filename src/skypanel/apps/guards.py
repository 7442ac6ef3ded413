"""Whether an organization may start something new on this platform at all."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.apps.queries import count_apps
from skypanel.db import Session
from skypanel.errors import Conflict, NotFound
from skypanel.orgs.models import Organization, OrganizationStatus

# Any number: the key of PostgreSQL's advisory lock under which applications are created one after the other.
CREATION_LOCK = 7_245_001


@dataclass(frozen=True)
class AppLimits:
    max_apps_per_org: int = 10
    single_organization: bool = False  # a runtime that cannot keep tenants apart serves one organization only


def active_organization(session: Session, organization_id: str) -> Organization:
    """Raises Conflict (`organization_suspended`)."""
    organization = session.get(Organization, organization_id)
    if organization is None:
        raise NotFound("There is no such organization.", code="organization_not_found")
    if organization.status == OrganizationStatus.SUSPENDED:
        raise Conflict(
            f"{organization.name} is suspended: its applications keep their data and nothing new can be started. "
            "Refill its wallet or ask the platform's admin to resume it.",
            code="organization_suspended",
        )
    return organization


def is_suspended(session: Session, organization_id: str) -> bool:
    organization = session.get(Organization, organization_id)
    return organization is None or organization.status == OrganizationStatus.SUSPENDED


def one_creation_at_a_time(session: Session) -> None:
    """Until the transaction ends, so that limits, slugs and user ids are counted without gaps between reading and
    writing. SQLite's writing transactions are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATION_LOCK)))


def room_for_one_more(session: Session, organization: Organization, limits: AppLimits) -> None:
    """Raises Conflict (`app_limit`, `single_organization`)."""
    most = organization.max_apps if organization.max_apps is not None else limits.max_apps_per_org
    if count_apps(session, organization.id) >= most:
        raise Conflict(
            f"{organization.name} may have {most} applications and has them. Delete one, or ask the platform's admin "
            "for a higher limit.",
            code="app_limit",
        )
    if limits.single_organization and _others_have_apps(session, organization.id):
        raise Conflict(
            "This platform runs applications as plain processes (trusted mode), which cannot keep organizations "
            "apart, and another organization already has applications. Run it as root with the oci runtime.",
            code="single_organization",
        )


def _others_have_apps(session: Session, organization_id: str) -> bool:
    query = sa.select(App.id).where(App.organization_id != organization_id, App.deleted_at.is_(None)).limit(1)
    return session.scalars(query).first() is not None
