"""How often an application may be built."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Deployment, Kind
from skypanel.errors import TooMany

WINDOW = timedelta(hours=1)


def require_deploy_rate(session: Session, *, app: App, per_hour: int, now: datetime) -> None:
    """Raises TooMany (`deploy_rate`) at the limit; 0 is none.

    Only builds count: going back, or changing a variable, must work in the middle of an incident.
    """
    if per_hour <= 0:
        return
    query = sa.select(Deployment.created_at).where(
        Deployment.app_id == app.id, Deployment.kind == Kind.DEPLOY, Deployment.created_at > now - WINDOW
    )
    recent = sorted(session.scalars(query))
    if len(recent) >= per_hour:
        frees = recent[len(recent) - per_hour] + WINDOW - now
        raise TooMany(
            f"{app.slug} may be deployed {per_hour} times an hour and was. Rollbacks are not limited.",
            code="deploy_rate",
            retry_after_s=max(1, round(frees.total_seconds())),
        )
