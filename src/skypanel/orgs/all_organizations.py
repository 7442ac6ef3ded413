"""Reads over all organizations: for pages and routes that only a platform administrator reaches."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.errors import NotFound
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.models import Organization


def list_all_organizations(session: Session, *, text: str = "", limit: int, cursor: str | None) -> Page[Organization]:
    """Those whose name or slug holds `text`, in any case, newest first. Raises ValueError for a cursor that is none of
    ours."""
    query = sa.select(Organization).order_by(Organization.id.desc()).limit(limit + 1)
    if text:
        holds = [column.icontains(text, autoescape=True) for column in (Organization.name, Organization.slug)]
        query = query.where(sa.or_(*holds))
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(Organization.id < str(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def any_organization(session: Session, id_or_slug: str) -> Organization:
    """Raises NotFound."""
    named = sa.or_(Organization.id == id_or_slug, Organization.slug == id_or_slug)
    found = session.scalars(sa.select(Organization).where(named)).one_or_none()
    if found is None:
        raise NotFound(f"There is no organization {id_or_slug!r}.", code="organization_not_found")
    return found
