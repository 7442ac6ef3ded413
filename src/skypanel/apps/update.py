"""Changing an application's settings. Fields that are left out stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from skypanel.activity.record import Actor, record
from skypanel.apps.create import take_health
from skypanel.apps.models import App
from skypanel.apps.plan_choice import choose_plan, take_plan
from skypanel.apps.queries import lock_app
from skypanel.apps.rules import (
    CheckGitUrl,
    HealthCheck,
    buildpack_shown,
    checked_branch,
    checked_buildpacks,
    checked_git_url,
    checked_health,
    checked_name,
)
from skypanel.db import Session


@dataclass(frozen=True)
class Changes:
    """None: not asked for. Checked as far as that goes without the database."""

    name: str | None = None
    git_url: str | None = None
    branch: str | None = None
    buildpacks: tuple[str, ...] | None = None
    health: HealthCheck | None = None
    plan: str | None = None
    build_cache: bool | None = None


@dataclass(frozen=True)
class Updated:
    """Which settings differ now. `needs_restart`: running replicas still have the old limits or the old check."""

    fields: tuple[str, ...]

    @property
    def needs_restart(self) -> bool:
        return "plan" in self.fields


def draft_changes(
    *,
    check_git_url: CheckGitUrl,
    name: str | None = None,
    git_url: str | None = None,
    branch: str | None = None,
    buildpack: str | Sequence[str] | None = None,
    health: HealthCheck | None = None,
    plan: str | None = None,
    build_cache: bool | None = None,
) -> Changes:
    """Raises Invalid for the first thing that is not possible."""
    return Changes(
        name=None if name is None else checked_name(name),
        git_url=None if git_url is None else checked_git_url(git_url, check=check_git_url),
        branch=None if branch is None else checked_branch(branch),
        buildpacks=None if buildpack is None else tuple(checked_buildpacks(buildpack, check=check_git_url)),
        health=None if health is None else checked_health(health),
        plan=plan,
        build_cache=build_cache,
    )


def update_app(session: Session, *, app: App, changes: Changes, by: Actor, now: datetime) -> Updated:
    """Applies them in one transaction. Raises Invalid (`plan_unknown`, `replicas_above_plan`)."""
    lock_app(session, app)
    before = _settings(app)
    if changes.name is not None:
        app.name = changes.name
    if changes.git_url is not None:
        app.git_url = changes.git_url
    if changes.branch is not None:
        app.branch = changes.branch
    if changes.buildpacks is not None:
        app.buildpacks = list(changes.buildpacks)
    if changes.health is not None:
        take_health(app, changes.health)
    if changes.build_cache is not None:
        app.build_cache = changes.build_cache
    # Naming the plan it already has keeps the price it was chosen at.
    if changes.plan is not None and changes.plan != app.plan_slug:
        take_plan(session, app, choose_plan(session, changes.plan), now=now)
    session.flush()
    after = _settings(app)
    fields = tuple(name for name in after if after[name] != before[name])
    if fields:
        detail = {name: {"before": before[name], "after": after[name]} for name in fields}
        record(
            session,
            organization_id=app.organization_id,
            by=by,
            verb="app.updated",
            on=("app", app.id, app.slug),
            message=f"changed {', '.join(fields)} of {app.slug}",
            now=now,
            detail=detail,
        )
    return Updated(fields)


def health_of(app: App) -> HealthCheck:
    return HealthCheck(
        app.health_type, app.health_path, app.health_interval_s, app.health_timeout_s, app.health_retries
    )


def _settings(app: App) -> dict[str, object]:
    health = health_of(app)
    return {
        "name": app.name,
        "git_url": app.git_url,
        "branch": app.branch,
        "buildpack": buildpack_shown(app.buildpacks),
        "health_check": {
            "type": health.type,
            "path": health.path,
            "interval_s": health.interval_s,
            "timeout_s": health.timeout_s,
            "retries": health.retries,
        },
        "plan": app.plan_slug,
        "build_cache": app.build_cache,
    }
