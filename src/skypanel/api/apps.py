"""Applications: create, list, show, change, delete; their build cache."""

from __future__ import annotations

from skypanel.api.app_bodies import AppChangesBody, NewAppBody
from skypanel.api.app_view import app_bodies, app_body
from skypanel.api.shapes import AppAnswer, AppBody, AppJobAnswer, JobAnswer
from skypanel.api.target import ConfiguredApp, DeletedApp, ViewedApp
from skypanel.apps.create import draft_app
from skypanel.apps.queries import list_apps
from skypanel.apps.rules import HealthCheck
from skypanel.apps.update import draft_changes, health_of
from skypanel.deployments.clear_cache import request_clear_cache
from skypanel.deployments.requests import request_delete
from skypanel.http import verbs
from skypanel.http.context import ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Permission, require

router = api_router(prefix="/api/paas/apps", tag="apps")


@router.get("", responses=problems(404), summary="Applications of the organization, newest first")
def list_applications(
    session: ReadSession, viewer: CurrentViewer, services: ServicesDep, paging: PagingDep
) -> PageBody[AppBody]:
    require(viewer, Permission.VIEW)
    with cursor_checked():
        page = list_apps(session, viewer, limit=paging.limit, cursor=paging.cursor)
    return PageBody(items=app_bodies(session, services, page.items), next_cursor=page.next_cursor)


@router.post("", status_code=201, responses=problems(403, 404, 409, 503), summary="Create an application")
def create_application(
    body: NewAppBody, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> AppAnswer:
    require(viewer, Permission.DEPLOY)
    draft = draft_app(
        name=body.name,
        git_url=body.git_url,
        check_git_url=services.check_git_url,
        slug=body.slug,
        branch=body.branch,
        buildpack=body.buildpack,
        plan=body.plan,
        replicas=body.replicas,
        health=body.health_check.over(HealthCheck()) if body.health_check else None,
    )
    app = verbs.create(session, services, viewer, draft)
    return AppAnswer(app=app_body(session, services, app))


@router.get("/{id}", responses=problems(404), summary="One application")
def get_application(app: ViewedApp, session: ReadSession, services: ServicesDep) -> AppAnswer:
    return AppAnswer(app=app_body(session, services, app))


@router.patch("/{id}", responses=problems(403, 404, 409, 503), summary="Change settings")
def update_application(
    app: ConfiguredApp, body: AppChangesBody, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> AppJobAnswer:
    """Another plan rolls the running replicas, so that they get its limits; `job_id` is that restart's."""
    changes = draft_changes(
        check_git_url=services.check_git_url,
        name=body.name,
        git_url=body.git_url,
        branch=body.branch,
        buildpack=body.buildpack,
        health=body.health_check.over(health_of(app)) if body.health_check else None,
        plan=body.plan,
        build_cache=body.build_cache,
    )
    job_id = verbs.update(session, services, viewer, app, changes)
    return AppJobAnswer(app=app_body(session, services, app), job_id=job_id)


@router.delete("/{id}", status_code=202, responses=problems(403, 404), summary="Delete an application")
def delete_application(
    app: DeletedApp, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> JobAnswer:
    """Gone at once for everybody; the job removes its replicas, slugs, logs and domains. Billing and activity stay."""
    return JobAnswer(job_id=request_delete(session, app=app, by=viewer.actor, now=services.clock.now()))


@router.delete("/{id}/build-cache", status_code=202, responses=problems(403, 404), summary="Clear the build cache")
def clear_build_cache(
    app: ConfiguredApp, session: WriteSession, viewer: CurrentViewer, services: ServicesDep
) -> JobAnswer:
    """The next build installs everything anew."""
    return JobAnswer(job_id=request_clear_cache(session, app=app, by=viewer.actor, now=services.clock.now()))
