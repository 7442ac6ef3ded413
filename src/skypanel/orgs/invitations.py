"""Invitations by e-mail address: made, listed, revoked, accepted. The token is shown once, to who invites."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.accounts.email import normalized
from skypanel.accounts.models import User
from skypanel.activity.record import Actor, record
from skypanel.db import Session
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.kit.secret import Secret
from skypanel.orgs.access import Permission, Viewer, require
from skypanel.orgs.errors import AlreadyMember, InvitationNotFound
from skypanel.orgs.members import may_grant
from skypanel.orgs.models import Invitation, Membership, Organization, Role

VALID_FOR = timedelta(days=7)
TOKEN_PREFIX = "ski_"  # noqa: S105 - a prefix, no secret


@dataclass(frozen=True)
class NewInvitation:
    row: Invitation
    token: Secret


def create_invitation(session: Session, viewer: Viewer, *, email: str, role: Role, now: datetime) -> NewInvitation:
    """A new invitation of the same address takes the place of the one before. Raises Forbidden, Invalid (address) or
    AlreadyMember."""
    require(viewer, Permission.MANAGE_MEMBERS)
    may_grant(viewer, role)
    address = normalized(email)
    if session.scalar(_membership(viewer.organization_id).where(User.email == address)) is not None:
        raise AlreadyMember(address)
    session.execute(
        sa.update(Invitation)
        .where(Invitation.organization_id == viewer.organization_id, Invitation.email == address, *_open(now))
        .values(revoked_at=now)
    )
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = Invitation(
        organization_id=viewer.organization_id,
        email=address,
        role=role,
        digest=_digest(token),
        invited_by=viewer.user_id,
        created_at=now,
        expires_at=now + VALID_FOR,
    )
    session.add(row)
    session.flush()
    record(
        session,
        organization_id=viewer.organization_id,
        by=viewer.actor,
        verb="invitation.created",
        on=("invitation", row.id, address),
        now=now,
        detail={"role": role},
        message=f"{viewer.email} invited {address} as {role}",
    )
    return NewInvitation(row, Secret(token))


def list_invitations(
    session: Session, viewer: Viewer, *, now: datetime, limit: int, cursor: str | None
) -> Page[Invitation]:
    """Those that can still be accepted, newest first. Raises Forbidden; ValueError for a cursor that is not ours."""
    require(viewer, Permission.MANAGE_MEMBERS)
    query = (
        sa.select(Invitation)
        .where(Invitation.organization_id == viewer.organization_id, *_open(now))
        .order_by(Invitation.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Invitation.id < str(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def revoke_invitation(session: Session, viewer: Viewer, *, invitation_id: str, now: datetime) -> None:
    """Raises Forbidden or InvitationNotFound."""
    require(viewer, Permission.MANAGE_MEMBERS)
    row = session.scalars(
        sa.select(Invitation).where(
            Invitation.id == invitation_id, Invitation.organization_id == viewer.organization_id, *_open(now)
        )
    ).one_or_none()
    if row is None:
        raise InvitationNotFound
    row.revoked_at = now
    record(
        session,
        organization_id=viewer.organization_id,
        by=viewer.actor,
        verb="invitation.revoked",
        on=("invitation", row.id, row.email),
        now=now,
        message=f"{viewer.email} revoked the invitation of {row.email}",
    )


def find_invitation(session: Session, *, token: str, email: str, now: datetime) -> Invitation:
    """The open invitation of this token for this address. A token of somebody else's looks like an unknown one.
    Raises InvitationNotFound."""
    row = session.scalars(
        sa.select(Invitation).where(Invitation.digest == _digest(token), Invitation.email == email, *_open(now))
    ).one_or_none()
    if row is None:
        raise InvitationNotFound
    return row


def accept_invitation(
    session: Session, *, user: User, token: str, address: str | None, now: datetime
) -> tuple[Organization, Role]:
    """The user becomes a member. Raises InvitationNotFound or AlreadyMember."""
    row = find_invitation(session, token=token, email=user.email, now=now)
    won = session.execute(
        sa.update(Invitation)
        .where(Invitation.id == row.id, *_open(now))
        .values(accepted_at=now)
        .returning(Invitation.id)
    ).one_or_none()
    if won is None:  # accepted or revoked in between
        raise InvitationNotFound
    if session.scalar(_membership(row.organization_id).where(User.id == user.id)) is not None:
        raise AlreadyMember(user.email)
    role = Role(row.role)
    session.add(Membership(organization_id=row.organization_id, user_id=user.id, role=role, created_at=now))
    session.flush()
    organization = session.get_one(Organization, row.organization_id)
    record(
        session,
        organization_id=organization.id,
        by=Actor(user.email, address),
        verb="member.joined",
        on=("user", user.id, user.email),
        now=now,
        detail={"role": role},
        message=f"{user.email} joined {organization.name} as {role}",
    )
    return organization, role


def _membership(organization_id: str) -> sa.Select[str]:
    return (
        sa.select(Membership.user_id)
        .join(User, User.id == Membership.user_id)
        .where(Membership.organization_id == organization_id)
    )


def _open(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
