"""All applications of an organization put to rest, and woken as they were."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.activity.record import Actor
from skypanel.apps.models import App, AppStatus, Wanted
from skypanel.db import Session
from skypanel.deployments.ask_operation import ask_to_mend, operation
from skypanel.deployments.ask_release import request_cancel
from skypanel.deployments.cancel_run import RESTS, end_runs
from skypanel.deployments.models import IN_PROGRESS, Deployment, DeploymentStatus, Run
from skypanel.deployments.status import settle
from skypanel.errors import Conflict


def suspend_apps(session: Session, organization_id: str, *, by: Actor, now: datetime) -> int:
    """Those that were to run; how many. What their owner has stopped stays as it is. Deployments and one-off commands
    under way end."""
    apps = _apps(session, organization_id, Wanted.RUNNING)  # locked first, as by every verb
    _cancel_deployments(session, organization_id, by, now)
    of_it = sa.select(App.id).where(App.organization_id == organization_id)
    end_runs(session, Run.app_id.in_(of_it), now=now, reason=RESTS)
    for app in apps:
        put_to_rest(session, app)
    return len(apps)


def put_to_rest(session: Session, app: App) -> None:
    """Until its organization is resumed."""
    app.wanted = Wanted.SUSPENDED
    app.status, app.status_reason = AppStatus.SUSPENDED, None
    operation(session, "app.stop", app)


def resume_apps(session: Session, organization_id: str) -> int:
    """Those that were suspended, with the replicas they had; how many."""
    apps = _apps(session, organization_id, Wanted.SUSPENDED)
    for app in apps:
        app.wanted = Wanted.RUNNING
        if app.current_deployment_id is None:
            app.status, app.status_reason = _without_release(session, app)
            ask_to_mend(session, app.id)  # else visitors would be told for ever that it is suspended
        else:
            settle(session, app)
        # Without a release there is nothing to restart, unless its first deployment was too far to be cancelled.
        operation(session, "app.restart", app)
    return len(apps)


def _without_release(session: Session, app: App) -> tuple[str, str | None]:
    """(status, reason) of one that has never served: what its newest deployment left it in."""
    query = sa.select(Deployment).where(Deployment.app_id == app.id).order_by(Deployment.version.desc()).limit(1)
    newest = session.scalars(query).one_or_none()
    if newest is None or newest.status != DeploymentStatus.FAILED:
        return AppStatus.CREATED, None
    return AppStatus.FAILED, newest.reason


def _apps(session: Session, organization_id: str, wanted: Wanted) -> list[App]:
    """All are locked, since what one is to be may just be changing. Who changes it looks after its own lock whether the
    organization rests."""
    query = sa.select(App).where(App.organization_id == organization_id, App.deleted_at.is_(None)).order_by(App.id)
    locked = session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return [app for app in locked if app.wanted == wanted]


def _cancel_deployments(session: Session, organization_id: str, by: Actor, now: datetime) -> None:
    query = sa.select(Deployment).where(
        Deployment.organization_id == organization_id, Deployment.status.in_(IN_PROGRESS)
    )
    for deployment in session.scalars(query.order_by(Deployment.id)):
        try:
            request_cancel(session, deployment=deployment, by=by, now=now)
        except Conflict:  # it serves, or its end is decided; the stop comes behind it
            continue
