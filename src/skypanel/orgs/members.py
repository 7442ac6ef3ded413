"""Members of an organization: listed, given another role, removed.

An admin manages members below himself and other admins; only an owner makes or touches owners; the last owner stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.activity.record import record
from skypanel.db import Session
from skypanel.errors import Forbidden
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.access import Permission, Viewer, require
from skypanel.orgs.errors import LastOwner, MemberNotFound
from skypanel.orgs.models import Membership, Organization, Role


@dataclass(frozen=True)
class Member:
    user: User
    role: Role
    since: datetime


def list_members(session: Session, viewer: Viewer, *, limit: int, cursor: str | None) -> Page[Member]:
    """Oldest account first. Raises ValueError for a cursor that is none of ours."""
    query = _members(viewer).order_by(User.id).limit(limit + 1)
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(User.id > str(last))
    members = [_member(row) for row in session.execute(query)]
    more = len(members) > limit
    return Page(members[:limit], encode_cursor(members[limit - 1].user.id) if more else None)


def change_role(session: Session, viewer: Viewer, *, user_id: str, role: Role, now: datetime) -> Member:
    """Raises Forbidden, MemberNotFound or LastOwner."""
    require(viewer, Permission.MANAGE_MEMBERS)
    _lock(session, viewer)
    member = get_member(session, viewer, user_id=user_id)
    may_grant(viewer, role)
    may_grant(viewer, member.role)
    if member.role is Role.OWNER and role is not Role.OWNER:
        _keep_an_owner(session, viewer)
    if member.role is not role:
        session.execute(sa.update(Membership).where(*_row(viewer, user_id)).values(role=role))
        record(
            session,
            organization_id=viewer.organization_id,
            by=viewer.actor,
            verb="member.role_changed",
            on=("user", user_id, member.user.email),
            now=now,
            detail={"before": member.role, "after": role},
            message=f"{viewer.email} changed the role of {member.user.email} from {member.role} to {role}",
        )
    return Member(member.user, role, member.since)


def remove_member(session: Session, viewer: Viewer, *, user_id: str, now: datetime) -> None:
    """Another member, or oneself (leaving, which every role may). Raises Forbidden, MemberNotFound or LastOwner."""
    leaving = user_id == viewer.user_id
    if not leaving:
        require(viewer, Permission.MANAGE_MEMBERS)
    _lock(session, viewer)
    member = get_member(session, viewer, user_id=user_id)
    if not leaving:
        may_grant(viewer, member.role)
    if member.role is Role.OWNER:
        _keep_an_owner(session, viewer)
    session.execute(sa.delete(Membership).where(*_row(viewer, user_id)))
    verb = "member.left" if leaving else "member.removed"
    what = "left the organization" if leaving else f"removed {member.user.email} from the organization"
    record(
        session,
        organization_id=viewer.organization_id,
        by=viewer.actor,
        verb=verb,
        on=("user", user_id, member.user.email),
        now=now,
        message=f"{viewer.email} {what}",
    )


def get_member(session: Session, viewer: Viewer, *, user_id: str) -> Member:
    """Raises MemberNotFound."""
    row = session.execute(_members(viewer).where(User.id == user_id)).one_or_none()
    if row is None:
        raise MemberNotFound
    return _member(row)


def may_grant(viewer: Viewer, role: Role) -> None:
    """Only owners make owners, and touch those who are. Raises Forbidden."""
    if role is Role.OWNER and viewer.role is not Role.OWNER:
        raise Forbidden("Only an owner can make, change or remove owners.")


def _members(viewer: Viewer) -> sa.Select[User, str, datetime]:
    return (
        sa.select(User, Membership.role, Membership.created_at)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organization_id == viewer.organization_id)
    )


def _member(row: sa.Row[User, str, datetime]) -> Member:
    user, role, since = row
    return Member(user, Role(role), since)


def _row(viewer: Viewer, user_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (Membership.organization_id == viewer.organization_id, Membership.user_id == user_id)


def _lock(session: Session, viewer: Viewer) -> None:
    """Two owners who remove each other at once must not both succeed: changes of members take turns."""
    session.execute(sa.select(Organization.id).where(Organization.id == viewer.organization_id).with_for_update())


def _keep_an_owner(session: Session, viewer: Viewer) -> None:
    owners = session.scalar(
        sa.select(sa.func.count())
        .select_from(Membership)
        .where(Membership.organization_id == viewer.organization_id, Membership.role == Role.OWNER)
    )
    if (owners or 0) < 2:
        raise LastOwner
