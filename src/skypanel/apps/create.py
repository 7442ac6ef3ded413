"""Creating an application. `draft_app` checks what needs no database (a Git URL's host may have to be looked up, and
nobody shall wait for that inside a transaction); `create_app` does the rest."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import record
from skypanel.apps.guards import AppLimits, active_organization, one_creation_at_a_time, room_for_one_more
from skypanel.apps.models import App, Wanted
from skypanel.apps.plan_choice import choose_plan, take_plan
from skypanel.apps.rules import (
    CheckGitUrl,
    HealthCheck,
    checked_branch,
    checked_buildpacks,
    checked_git_url,
    checked_health,
    checked_name,
    refuse,
)
from skypanel.db import Session
from skypanel.errors import Conflict
from skypanel.kit.ids import new_id
from skypanel.kit.slug import is_app_slug, slugify
from skypanel.orgs.access import Viewer

FIRST_UID = 200_000
SUFFIX_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
WEB = "web"


@dataclass(frozen=True)
class Draft:
    """What somebody asked for, checked as far as that goes without the database."""

    name: str
    git_url: str
    slug: str | None = None  # None: made from the name
    branch: str = ""
    buildpacks: tuple[str, ...] = ()
    plan: str | None = None
    replicas: int = 1
    health: HealthCheck = field(default_factory=HealthCheck)


def draft_app(
    *,
    name: str,
    git_url: str,
    check_git_url: CheckGitUrl,
    slug: str | None = None,
    branch: str | None = None,
    buildpack: str | Sequence[str] | None = None,
    plan: str | None = None,
    replicas: int = 1,
    health: HealthCheck | None = None,
) -> Draft:
    """Raises Invalid for the first thing that is not possible."""
    if slug is not None and not is_app_slug(slug):
        message = "A slug has 3 to 40 small letters, digits and hyphens, begins with a letter, and is not reserved."
        raise refuse("slug", message, code="slug_invalid")
    if replicas < 1:
        raise refuse("replicas", "An application starts with at least one replica.", code="replicas_invalid")
    return Draft(
        name=checked_name(name),
        git_url=checked_git_url(git_url, check=check_git_url),
        slug=slug,
        branch=checked_branch(branch),
        buildpacks=tuple(checked_buildpacks(buildpack, check=check_git_url)),
        plan=plan,
        replicas=replicas,
        health=checked_health(health or HealthCheck()),
    )


def create_app(session: Session, *, viewer: Viewer, draft: Draft, limits: AppLimits, now: datetime) -> App:
    """The application in the viewer's organization, not deployed yet.

    Raises Invalid (`plan_unknown`, `replicas_above_plan`) and Conflict (`slug_taken`,
    `app_limit`, `single_organization`, `organization_suspended`).
    """
    organization = active_organization(session, viewer.organization_id)
    one_creation_at_a_time(session)
    room_for_one_more(session, organization, limits)
    app = App(
        id=new_id(),
        organization_id=organization.id,
        name=draft.name,
        slug=_free_slug(session, draft),
        uid=_next_uid(session),
        git_url=draft.git_url,
        branch=draft.branch,
        buildpacks=list(draft.buildpacks),
        formation={WEB: draft.replicas},
        wanted=Wanted.RUNNING,
        created_at=now,
    )
    take_health(app, draft.health)
    take_plan(session, app, choose_plan(session, draft.plan), now=now)
    record(
        session,
        organization_id=organization.id,
        by=viewer.actor,
        verb="app.created",
        on=("app", app.id, app.slug),
        message=f"created {app.slug}",
        now=now,
        detail={"name": app.name, "git_url": app.git_url, "plan": app.plan_slug, "replicas": draft.replicas},
    )
    return app


def take_health(app: App, health: HealthCheck) -> None:
    app.health_type, app.health_path = health.type, health.path
    app.health_interval_s, app.health_timeout_s = health.interval_s, health.timeout_s
    app.health_retries = health.retries


def _free_slug(session: Session, draft: Draft) -> str:
    """The slug asked for, or one made from the name with a short suffix when that one is taken anywhere."""
    if draft.slug is not None:
        if _taken(session, draft.slug):
            raise Conflict(f"The slug {draft.slug} is taken. Choose another one.", code="slug_taken")
        return draft.slug
    stem = slugify(draft.name)
    stem = stem if len(stem) > 1 else "app"
    candidate = stem if is_app_slug(stem) else _suffixed(stem)
    while _taken(session, candidate):
        candidate = _suffixed(stem)
    return candidate


def _suffixed(stem: str) -> str:
    tail = "".join(secrets.choice(SUFFIX_LETTERS) for _ in range(5))
    return f"{stem[:34].rstrip('-')}-{tail}"


def _taken(session: Session, slug: str) -> bool:
    return session.scalars(sa.select(App.id).where(App.slug == slug)).first() is not None


def _next_uid(session: Session) -> int:
    """One above all that were ever given out: files of a deleted application must not become another one's."""
    highest = session.scalars(sa.select(sa.func.max(App.uid))).one()
    return FIRST_UID if highest is None else max(highest + 1, FIRST_UID)
