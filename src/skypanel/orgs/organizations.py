"""Organizations: made, renamed, found."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from skypanel.accounts.models import User
from skypanel.activity.record import Actor, record
from skypanel.db import Session
from skypanel.errors import Conflict, FieldError, Invalid
from skypanel.kit.slug import RESERVED_SLUGS, slugify
from skypanel.orgs.access import Permission, Viewer, require
from skypanel.orgs.models import Membership, Organization, Role

MAX_NAME = 120
_ATTEMPTS = 8


Opened = Callable[[Session, Organization], None]  # what rooms above do with a new one, in its transaction


def create_organization(
    session: Session, *, name: str, owner: User, by: Actor, now: datetime, opened: Opened
) -> Organization:
    """A new organization with its owner as the only member. Its slug comes of its name, with a suffix where that one
    is taken. Raises Invalid for an empty or too long name."""
    plain = checked_name(name)
    organization = _with_free_slug(session, plain, now)
    session.add(Membership(organization_id=organization.id, user_id=owner.id, role=Role.OWNER, created_at=now))
    record(
        session,
        organization_id=organization.id,
        by=by,
        verb="organization.created",
        on=("organization", organization.id, organization.name),
        now=now,
        message=f"{owner.email} created the organization {organization.name}",
    )
    opened(session, organization)
    return organization


def get_organization(session: Session, viewer: Viewer) -> Organization:
    return session.get_one(Organization, viewer.organization_id)


def rename_organization(session: Session, viewer: Viewer, *, name: str, now: datetime) -> Organization:
    """The slug stays: programs may hold it. Raises Forbidden, Invalid."""
    require(viewer, Permission.MANAGE_ORGANIZATION)
    organization = get_organization(session, viewer)
    before, organization.name = organization.name, checked_name(name)
    if before != organization.name:
        record(
            session,
            organization_id=organization.id,
            by=viewer.actor,
            verb="organization.renamed",
            on=("organization", organization.id, organization.name),
            now=now,
            message=f"{viewer.email} renamed the organization from {before} to {organization.name}",
        )
    return organization


def checked_name(name: str) -> str:
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= MAX_NAME:
        message = f"must have 1 to {MAX_NAME} characters"
        raise Invalid(f"The organization's name {message}.", errors=[FieldError("name", message)])
    return plain


def _with_free_slug(session: Session, name: str, now: datetime) -> Organization:
    base = slugify(name)
    if len(base) < 3 or base in RESERVED_SLUGS:
        base = f"{base}-org" if base else "organization"
    base = base[:33].rstrip("-")
    for attempt in range(_ATTEMPTS):
        slug = base if attempt == 0 else f"{base}-{secrets.token_hex(3)}"
        if session.scalar(sa.select(Organization.id).where(Organization.slug == slug)) is not None:
            continue
        organization = Organization(slug=slug, name=name, created_at=now)
        try:
            with session.begin_nested():
                session.add(organization)
        except IntegrityError:  # taken in between
            continue
        return organization
    raise Conflict("No free name was found for the organization; try another one.", code="slug_taken")


def set_limits(session: Session, *, organization: Organization, max_apps: int | None, by: Actor, now: datetime) -> None:
    """By the platform's operator. `max_apps` None: the platform's setting holds."""
    before, organization.max_apps = organization.max_apps, max_apps
    if before != max_apps:
        record(
            session,
            organization_id=organization.id,
            by=by,
            verb="organization.limits_changed",
            on=("organization", organization.id, organization.name),
            now=now,
            detail={"before": {"max_apps": before}, "after": {"max_apps": max_apps}},
            message=f"{by.name} changed the limits of {organization.name}",
        )
