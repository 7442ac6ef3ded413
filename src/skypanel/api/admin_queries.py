"""Reads over all organizations: for routes that only a platform administrator reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Deployment, Replica, ReplicaState
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


def organization_rows(session: Session, organizations: Sequence[Organization]) -> list[OrganizationRow]:
    ids = [organization.id for organization in organizations]
    members = _by(session, Membership.organization_id, Membership.organization_id.in_(ids))
    apps = _by(session, App.organization_id, App.organization_id.in_(ids), App.deleted_at.is_(None))
    return [OrganizationRow(each, members.get(each.id, 0), apps.get(each.id, 0)) for each in organizations]


def plan_in_use(session: Session, plan_id: str) -> bool:
    """Any application has it, deleted ones too: their history names it."""
    return session.scalar(sa.select(App.id).where(App.plan_id == plan_id).limit(1)) is not None


def _count(session: Session, table: type[User] | type[Organization]) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _by(session: Session, column: Any, *conditions: sa.ColumnElement[bool]) -> dict[str, int]:
    """How many rows there are of each value."""
    rows = session.execute(sa.select(column, sa.func.count()).where(*conditions).group_by(column).order_by(column))
    return {str(value): int(count) for value, count in rows}
