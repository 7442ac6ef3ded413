"""Old slugs go, but never one that a rollback may still want: the newest `keep_releases` that ran, and what serves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.apps.recheck import recheck
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import IN_PROGRESS, Deployment, DeploymentStatus, Replica, ReplicaState, Run
from skypanel.deployments.platform import Platform
from skypanel.jobs import JobContext

RAN = (DeploymentStatus.RUNNING, DeploymentStatus.SUPERSEDED)


def retain(ctx: JobContext, platform: Platform, *, app_id: str) -> int:
    """Returns how many slugs were removed. The row says so before the files go: no rollback is offered a lost slug,
    and whoever takes over knows which files still have to go."""
    going = ctx.tx_step("decide", lambda session: _decide(session, platform, app_id))
    for digest, layers in going["slugs"]:
        platform.builder.remove_slug(app_id, digest, layers, keep_layers=going["keep_layers"])
    return int(going["count"])


def _decide(session: Session, platform: Platform, app_id: str) -> dict[str, Any]:
    app = session.get_one(App, app_id)
    slugs = list(session.scalars(sa.select(Slug).where(Slug.app_id == app_id, Slug.removed_at.is_(None))))
    ran = (
        sa.select(Deployment.slug_id)
        .where(Deployment.app_id == app_id, Deployment.status.in_(RAN), Deployment.slug_id.is_not(None))
        .order_by(Deployment.version.desc())
    )
    newest = list(dict.fromkeys(session.scalars(ran)))[: platform.rules.keep_releases]
    replicas = sa.select(Replica.deployment_id).where(Replica.app_id == app_id, Replica.state != ReplicaState.GONE)
    runs = sa.select(Run.deployment_id).where(Run.app_id == app_id, Run.finished_at.is_(None))
    in_use = sa.select(Deployment.slug_id).where(
        Deployment.app_id == app_id,
        sa.or_(
            Deployment.status.in_(IN_PROGRESS),
            Deployment.id == app.current_deployment_id,
            Deployment.id.in_(replicas),
            Deployment.id.in_(runs),
        ),
    )
    keep = {*newest, *session.scalars(in_use)}
    leaving = [slug for slug in slugs if slug.id not in keep]
    staying = [slug for slug in slugs if slug.id in keep]
    now = platform.clock.now()
    for slug in leaving:
        slug.removed_at = now
    if leaving:
        recheck(session, app_id, since=now)
    kept_digests = {slug.digest for slug in staying}
    return {
        "slugs": [(slug.digest, slug.layers) for slug in leaving if slug.digest not in kept_digests],
        "keep_layers": [layer for slug in staying for layer in slug.layers],
        "count": len(leaving),
    }
