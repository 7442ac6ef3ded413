"""What faces do when somebody asks for a change of an application: the room's verbs with this platform's limits around
them. The API and the dashboard call the same ones."""

from __future__ import annotations

from skypanel.apps.create import Draft, create_app
from skypanel.apps.env import EnvChange
from skypanel.apps.guards import AppLimits, is_suspended
from skypanel.apps.models import App, Wanted
from skypanel.apps.update import Changes, update_app
from skypanel.builds.known import require_known_buildpacks
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.deployments.rate import require_deploy_rate
from skypanel.deployments.requests import (
    request_deploy,
    request_env_deployment,
    request_restart,
    request_rollback,
    request_scale,
)
from skypanel.http.context import Services
from skypanel.http.wallet import in_turn, require_funds_for, require_funds_for_new
from skypanel.orgs.access import Permission, Viewer, require


def create(session: Session, services: Services, viewer: Viewer, draft: Draft) -> App:
    """Raises what `create_app` does, Forbidden, Invalid (`buildpack_unknown`) and Conflict (`funds_missing`)."""
    require(viewer, Permission.DEPLOY)
    require_known_buildpacks(session, draft.buildpacks)
    in_turn(session, viewer.organization_id)
    require_funds_for_new(session, services, viewer.organization_id, plan=draft.plan, replicas=draft.replicas)
    limits = AppLimits(services.max_apps_per_org, services.single_organization)
    return create_app(session, viewer=viewer, draft=draft, limits=limits, now=services.clock.now())


def update(session: Session, services: Services, viewer: Viewer, app: App, changes: Changes) -> str | None:
    """The id of the restart that brings another plan's limits to running replicas; None where nothing has to roll.
    Raises what `update_app` does, Conflict (suspended) and Invalid (`buildpack_unknown`)."""
    if changes.plan is not None:
        in_turn(session, viewer.organization_id, app)
        if changes.plan != app.plan_slug:
            require_funds_for(session, services, app, plan=changes.plan)
    require_known_buildpacks(session, changes.buildpacks or ())
    now = services.clock.now()
    updated = update_app(session, app=app, changes=changes, by=viewer.actor, now=now)
    if not updated.needs_restart or app.wanted != Wanted.RUNNING or app.current_deployment_id is None:
        return None
    return request_restart(session, app=app, by=viewer.actor, now=now)


def deploy(
    session: Session, services: Services, viewer: Viewer, app: App, *, commit: str | None = None, cause: str = "api"
) -> Deployment:
    """Raises Conflict (suspended, `funds_missing`) and TooMany (`deploy_rate`)."""
    in_turn(session, viewer.organization_id, app)
    require_funds_for(session, services, app)
    now = services.clock.now()
    require_deploy_rate(session, app=app, per_hour=services.max_deployments_per_hour, now=now)
    return request_deploy(session, app=app, by=viewer.actor, now=now, commit=commit, cause=cause)


def roll_back(
    session: Session, services: Services, viewer: Viewer, app: App, *, version: int, restore_env: bool
) -> Deployment:
    """Raises what `request_rollback` does and Conflict (suspended, `funds_missing`)."""
    in_turn(session, viewer.organization_id, app)
    require_funds_for(session, services, app)
    now = services.clock.now()
    return request_rollback(session, app=app, version=version, restore_env=restore_env, by=viewer.actor, now=now)


def scale(
    session: Session, services: Services, viewer: Viewer, app: App, *, replicas: int, process_type: str = "web"
) -> str:
    """The id of its job. Raises what `request_scale` does and Conflict (suspended, `funds_missing`)."""
    in_turn(session, viewer.organization_id, app)
    if replicas <= app.max_replicas:  # what the plan does not allow is refused for that
        require_funds_for(session, services, app, formation={process_type: replicas})
    now = services.clock.now()
    return request_scale(session, app=app, replicas=replicas, by=viewer.actor, now=now, process_type=process_type)


def restart(session: Session, services: Services, viewer: Viewer, app: App) -> str:
    """The id of its job. Raises what `request_restart` does and Conflict (suspended, `funds_missing`)."""
    in_turn(session, viewer.organization_id, app)
    require_funds_for(session, services, app)
    return request_restart(session, app=app, by=viewer.actor, now=services.clock.now())


def release_env(session: Session, services: Services, viewer: Viewer, app: App, change: EnvChange) -> Deployment | None:
    """The version that brings changed variables to what runs; None where nothing differs or nothing runs."""
    if not change or is_suspended(session, app.organization_id):
        return None
    return request_env_deployment(session, app=app, by=viewer.actor, now=services.clock.now())
