"""Reads of applications. Each takes the viewer."""

from __future__ import annotations

import re

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.errors import NotFound
from skypanel.kit.paging import Page, decode_cursor, encode_cursor
from skypanel.orgs.access import Viewer

ID_OR_SLUG = re.compile(r"[a-z0-9-]{1,80}")


def visible(viewer: Viewer) -> sa.Select[App]:
    return sa.select(App).where(App.organization_id == viewer.organization_id, App.deleted_at.is_(None))


def get_app(session: Session, viewer: Viewer, id_or_slug: str) -> App:
    """Raises NotFound when there is none, or it is another organization's."""
    app = None
    if ID_OR_SLUG.fullmatch(id_or_slug):  # anything else is none of ours, and databases differ in what they swallow
        query = visible(viewer).where(sa.or_(App.id == id_or_slug, App.slug == id_or_slug))
        app = session.scalars(query).one_or_none()
    if app is None:
        raise NotFound(f"There is no application {id_or_slug!r} in this organization.", code="app_not_found")
    return app


def list_apps(session: Session, viewer: Viewer, *, limit: int, cursor: str | None) -> Page[App]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = visible(viewer).order_by(App.id.desc()).limit(limit + 1)
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(App.id < str(last))
    rows = list(session.scalars(query))
    return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


def find_apps(session: Session, viewer: Viewer, *, text: str, limit: int) -> list[App]:
    """Those whose slug or name holds `text`, in any case, by slug."""
    holds = sa.or_(App.slug.icontains(text, autoescape=True), App.name.icontains(text, autoescape=True))
    return list(session.scalars(visible(viewer).where(holds).order_by(App.slug).limit(limit)))


def lock_app(session: Session, app: App) -> None:
    """Holds the application's row until the transaction ends, so that two changes of it come one after the other.

    On SQLite a writing transaction is alone anyway.
    """
    session.flush()
    session.refresh(app, with_for_update=True)


def count_apps(session: Session, organization_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(App)
    return session.scalars(query.where(App.organization_id == organization_id, App.deleted_at.is_(None))).one()
