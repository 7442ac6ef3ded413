"""Old slugs go, but never one that a rollback may still want: the newest `keep_releases` that ran, and what serves."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.builds.models import Slug
from skypanel.deployments.models import Deployment, DeploymentStatus, Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.jobs import JobContext

RAN = (DeploymentStatus.RUNNING, DeploymentStatus.SUPERSEDED)
UNDER_WAY = (DeploymentStatus.QUEUED, DeploymentStatus.BUILDING, DeploymentStatus.DEPLOYING)


def retain(ctx: JobContext, platform: Platform, *, app_id: str) -> int:
    """Returns how many slugs were removed. The row says so before the files go: no rollback is offered a lost slug."""
    del ctx
    with platform.database.transaction() as session:
        app = session.get_one(App, app_id)
        slugs = list(session.scalars(sa.select(Slug).where(Slug.app_id == app_id, Slug.removed_at.is_(None))))
        ran = (
            sa.select(Deployment.slug_id)
            .where(Deployment.app_id == app_id, Deployment.status.in_(RAN), Deployment.slug_id.is_not(None))
            .order_by(Deployment.version.desc())
        )
        newest = list(dict.fromkeys(session.scalars(ran)))[: platform.rules.keep_releases]
        in_use = sa.select(Deployment.slug_id).where(
            Deployment.app_id == app_id,
            sa.or_(
                Deployment.status.in_(UNDER_WAY),
                Deployment.id == app.current_deployment_id,
                Deployment.id.in_(
                    sa.select(Replica.deployment_id).where(Replica.app_id == app_id, Replica.state != ReplicaState.GONE)
                ),
            ),
        )
        keep = {*newest, *session.scalars(in_use)}
        leaving = [slug for slug in slugs if slug.id not in keep]
        staying = [slug for slug in slugs if slug.id in keep]
        for slug in leaving:
            slug.removed_at = platform.clock.now()
    keep_layers = [layer for slug in staying for layer in slug.layers]
    kept_digests = {slug.digest for slug in staying}
    for slug in leaving:
        if slug.digest not in kept_digests:
            platform.builder.remove_slug(app_id, slug.digest, slug.layers, keep_layers=keep_layers)
    return len(leaving)
