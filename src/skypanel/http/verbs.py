"""What faces do when somebody asks for a change of an application: the room's verbs with this platform's limits around
them. The API and the dashboard call the same ones."""

from __future__ import annotations

from skypanel.apps.create import Draft, create_app
from skypanel.apps.env import EnvChange
from skypanel.apps.guards import AppLimits, active_organization, is_suspended
from skypanel.apps.models import App, Wanted
from skypanel.apps.queries import lock_app
from skypanel.apps.update import Changes, update_app
from skypanel.builds.known import require_known_buildpacks
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.deployments.rate import require_deploy_rate
from skypanel.deployments.requests import request_deploy, request_env_deployment, request_restart
from skypanel.http.context import Services
from skypanel.orgs.access import Permission, Viewer, require


def create(session: Session, services: Services, viewer: Viewer, draft: Draft) -> App:
    """Raises what `create_app` does, Forbidden, and Invalid (`buildpack_unknown`)."""
    require(viewer, Permission.DEPLOY)
    require_known_buildpacks(session, draft.buildpacks)
    limits = AppLimits(services.max_apps_per_org, services.single_organization)
    return create_app(session, viewer=viewer, draft=draft, limits=limits, now=services.clock.now())


def update(session: Session, services: Services, viewer: Viewer, app: App, changes: Changes) -> str | None:
    """The id of the restart that brings another plan's limits to running replicas; None where nothing has to roll.
    Raises what `update_app` does, Conflict (suspended) and Invalid (`buildpack_unknown`)."""
    if changes.plan is not None:
        active_organization(session, viewer.organization_id)
    require_known_buildpacks(session, changes.buildpacks or ())
    now = services.clock.now()
    updated = update_app(session, app=app, changes=changes, by=viewer.actor, now=now)
    if not updated.needs_restart or app.wanted != Wanted.RUNNING or app.current_deployment_id is None:
        return None
    return request_restart(session, app=app, by=viewer.actor, now=now)


def deploy(
    session: Session, services: Services, viewer: Viewer, app: App, *, commit: str | None = None, cause: str = "api"
) -> Deployment:
    """Raises Conflict (suspended) and TooMany (`deploy_rate`)."""
    active_organization(session, viewer.organization_id)
    lock_app(session, app)
    now = services.clock.now()
    require_deploy_rate(session, app=app, per_hour=services.max_deployments_per_hour, now=now)
    return request_deploy(session, app=app, by=viewer.actor, now=now, commit=commit, cause=cause)


def release_env(session: Session, services: Services, viewer: Viewer, app: App, change: EnvChange) -> Deployment | None:
    """The version that brings changed variables to what runs; None where nothing differs or nothing runs."""
    if not change or is_suspended(session, app.organization_id):
        return None
    return request_env_deployment(session, app=app, by=viewer.actor, now=services.clock.now())
