"""Reads over all organizations: for routes that only a platform administrator reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.errors import NotFound
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.models import Membership, Organization


@dataclass(frozen=True)
class OrganizationRow:
    organization: Organization
    members: int
    apps: int


@dataclass(frozen=True)
class Overview:
    users: int
    organizations: int
    apps: dict[str, int]
    deployments_last_day: dict[str, int]
    replicas: dict[str, int]


def overview(session: Session, *, now: datetime) -> Overview:
    return Overview(
        users=_count(session, User),
        organizations=_count(session, Organization),
        apps=_by(session, App.status, App.deleted_at.is_(None)),
        deployments_last_day=_by(session, Deployment.status, Deployment.created_at > now - timedelta(days=1)),
        replicas=_by(session, Replica.state, Replica.state != ReplicaState.GONE),
    )


def list_organizations(session: Session, *, limit: int, cursor: str | None) -> Page[OrganizationRow]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = _rows().order_by(Organization.id.desc()).limit(limit + 1)
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Organization.id < str(last))
    rows = [OrganizationRow(*row) for row in session.execute(query)]
    more = len(rows) > limit
    return Page(rows[:limit], encode_cursor(rows[limit - 1].organization.id) if more else None)


def organization_row(session: Session, id_or_slug: str) -> OrganizationRow:
    """Raises NotFound."""
    named = sa.or_(Organization.id == id_or_slug, Organization.slug == id_or_slug)
    row = session.execute(_rows().where(named)).one_or_none()
    if row is None:
        raise NotFound(f"There is no organization {id_or_slug!r}.", code="organization_not_found")
    return OrganizationRow(*row)


def plan_in_use(session: Session, plan_id: str) -> bool:
    """Any application has it, deleted ones too: their history names it."""
    return session.scalar(sa.select(App.id).where(App.plan_id == plan_id).limit(1)) is not None


def _rows() -> sa.Select[Organization, int, int]:
    members = (
        sa.select(sa.func.count())
        .select_from(Membership)
        .where(Membership.organization_id == Organization.id)
        .correlate(Organization)
        .scalar_subquery()
    )
    apps = (
        sa.select(sa.func.count())
        .select_from(App)
        .where(App.organization_id == Organization.id, App.deleted_at.is_(None))
        .correlate(Organization)
        .scalar_subquery()
    )
    return sa.select(Organization, members, apps)


def _count(session: Session, table: type[User] | type[Organization]) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _by(session: Session, column: Any, condition: sa.ColumnElement[bool]) -> dict[str, int]:
    rows = session.execute(sa.select(column, sa.func.count()).where(condition).group_by(column).order_by(column))
    return {str(value): int(count) for value, count in rows}
