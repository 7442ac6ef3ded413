"""A rollback that was asked to brings its version's variables back as the app's own, once it serves."""

from __future__ import annotations

from datetime import datetime

from skypanel.activity.record import PLATFORM_ACTOR, record
from skypanel.apps.env import restore_snapshot
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.platform import Encrypts


def restore_env(session: Session, vault: Encrypts, *, app: App, snapshot_id: str, now: datetime) -> None:
    restore_snapshot(session, app=app, vault=vault, snapshot_id=snapshot_id, now=now)
    record(
        session,
        organization_id=app.organization_id,
        by=PLATFORM_ACTOR,
        verb="env.restored",
        on=("app", app.id, app.slug),
        message=f"restored the variables of {app.slug} with the rollback",
        now=now,
    )
