"""Settings of an application: one form for each thing that changes together; and deleting it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from fastapi import Form, Request
from fastapi.responses import Response

from skypanel.apps.models import App, BuildpackName
from skypanel.apps.rules import HealthCheck
from skypanel.apps.update import Changes, draft_changes, health_of
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import app_view, seen_app
from skypanel.dashboard.buildpack_field import buildpacks_of, text_of
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.prices import prices_of_plans
from skypanel.db import Session
from skypanel.deployments.clear_cache import request_clear_cache
from skypanel.deployments.requests import request_delete
from skypanel.errors import FieldError, Invalid
from skypanel.http import verbs
from skypanel.http.context import Services, ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.orgs.access import Permission, require
from skypanel.orgs.plans import list_active_plans

router = page_router()

Line = Annotated[str, Form(max_length=2000)]
Number = Annotated[int, Form(ge=0, le=100_000)]
Part = Literal["source", "plan", "health", "build-cache"]


@router.get("/apps/{id}/settings")
def show_settings(
    request: Request, id: str, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    return _page(request, account, session, services, id)


@router.post("/apps/{id}/settings/source", dependencies=[OwnForm])
def change_source(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    name: Line,
    git_url: Line,
    branch: Line = "",
    buildpack: Line = "",
) -> Response:
    given = {"name": name, "git_url": git_url, "branch": branch, "buildpack": buildpack}

    def draft(_: App) -> Changes:
        return draft_changes(
            check_git_url=services.check_git_url,
            name=name,
            git_url=git_url,
            branch=branch,
            buildpack=buildpacks_of(buildpack),
        )

    told = "Saved. The next deploy uses it."
    return _change(request, account, session, services, id, "source", draft, given, told)


@router.post("/apps/{id}/settings/plan", dependencies=[OwnForm])
def change_plan(
    request: Request, id: str, account: CurrentAccount, session: WriteSession, services: ServicesDep, plan: Line
) -> Response:
    told = "Saved. Running replicas are rolled to get the plan’s limits; visitors notice nothing."
    return _change(request, account, session, services, id, "plan", lambda _: Changes(plan=plan), {"plan": plan}, told)


@router.post("/apps/{id}/settings/health", dependencies=[OwnForm])
def change_health(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    health_type: Line,
    health_path: Line = "/",
    interval_s: Number = 30,
    timeout_s: Number = 5,
    retries: Number = 3,
) -> Response:
    health = HealthCheck(health_type, health_path, interval_s, timeout_s, retries)

    def draft(_: App) -> Changes:
        return draft_changes(check_git_url=services.check_git_url, health=health)

    told = "Saved. Running replicas are checked this way from now on."
    return _change(request, account, session, services, id, "health", draft, _health_fields(health), told)


@router.post("/apps/{id}/settings/build-cache", dependencies=[OwnForm])
def change_build_cache(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    build_cache: Annotated[bool, Form()] = False,
) -> Response:
    told = "Saved. Builds keep what they downloaded." if build_cache else "Saved. Every build begins with nothing."
    changes = Changes(build_cache=build_cache)
    return _change(request, account, session, services, id, "build-cache", lambda _: changes, {}, told)


@router.post("/apps/{id}/settings/clear-build-cache", dependencies=[OwnForm])
def clear_build_cache(id: str, account: CurrentAccount, session: WriteSession, services: ServicesDep) -> Response:
    app = seen_app(session, account, id)
    require(account.viewer, Permission.CONFIGURE)
    request_clear_cache(session, app=app, by=account.viewer.actor, now=services.clock.now())
    told = "The build cache is being cleared. The next build installs everything anew."
    return tell(see(f"/apps/{app.slug}/settings"), services, told)


@router.post("/apps/{id}/settings/delete", dependencies=[OwnForm])
def delete_app(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    confirm: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    app = seen_app(session, account, id)
    require(account.viewer, Permission.DELETE_APP)

    def delete() -> str:
        if confirm.strip() != app.slug:
            problem = [FieldError("confirm", f"Type {app.slug} to delete it.")]
            raise Invalid("Nothing was deleted: the name was not typed as it is.", errors=problem)
        return request_delete(session, app=app, by=account.viewer.actor, now=services.clock.now())

    slug = app.slug
    done, refused = attempt(session, delete)
    if done is None:
        return _page(request, account, session, services, id, refused=refused)
    return tell(see("/apps"), services, f"{slug} is deleted. Its bill and its activity are kept.")


def _change(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    id: str,
    part: Part,
    draft: Callable[[App], Changes],
    given: Mapping[str, object],
    told: str,
) -> Response:
    app = seen_app(session, account, id)
    require(account.viewer, Permission.CONFIGURE)
    _, refused = attempt(session, lambda: verbs.update(session, services, account.viewer, app, draft(app)))
    if refused.problem is not None:
        return _page(request, account, session, services, id, refused=refused, given=given)
    return tell(see(f"/apps/{app.slug}/settings#{part}"), services, told)


def _page(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    id: str,
    *,
    refused: Refused | None = None,
    given: Mapping[str, object] | None = None,
) -> Response:
    refused = refused or Refused()

    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        plans = list_active_plans(session)
        now: dict[str, object] = {
            "name": app.name,
            "git_url": app.git_url,
            "branch": app.branch,
            "buildpack": text_of(app.buildpacks),
            "plan": app.plan_slug,
            **_health_fields(health_of(app)),
        }
        return app_view(
            session,
            services,
            app,
            "app/settings.html",
            tab="settings",
            given={**now, **(given or {})},
            refused=refused,
            problem=refused.problem,
            plans=plans,
            prices=prices_of_plans(session, services, account.organization, app, plans),
            buildpack_names=sorted(row.name for row in session.query(BuildpackName)),
        )

    return live_page(request, account, session, load, status=refused.status)


def _health_fields(health: HealthCheck) -> dict[str, object]:
    return {
        "health_type": health.type,
        "health_path": health.path,
        "interval_s": health.interval_s,
        "timeout_s": health.timeout_s,
        "retries": health.retries,
    }
