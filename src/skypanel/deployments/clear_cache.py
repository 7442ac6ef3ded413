"""Asking for an empty build cache."""

from __future__ import annotations

from datetime import datetime

from skypanel.activity.record import Actor, record
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.ask_release import app_key
from skypanel.jobs import enqueue


def request_clear_cache(session: Session, *, app: App, by: Actor, now: datetime) -> str | None:
    """The job's id; None when the same is queued already. It waits for a build that runs."""
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb="app.build_cache_cleared",
        on=("app", app.id, app.slug),
        message=f"cleared the build cache of {app.slug}",
        now=now,
    )
    return enqueue(
        session,
        kind="app.clear_build_cache",
        queue="deploys",
        key=app_key(app.id),
        dedup=f"clear-build-cache:{app.id}",
        args={"app_id": app.id},
    )
