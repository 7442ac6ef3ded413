"""Applications as bodies: a page of them in four queries, whatever its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from skypanel.api.shapes import AppBody, HealthCheckBody, PlanBody, ReplicaCounts
from skypanel.apps.models import App, Wanted
from skypanel.apps.plan_choice import plans_by_id
from skypanel.apps.rules import buildpack_shown
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.deployments.plan import formation_of
from skypanel.deployments.queries import running_replicas
from skypanel.http.context import Services
from skypanel.kit.money import HOURS_PER_MONTH, to_decimal_string
from skypanel.orgs.models import Plan

WEB = "web"


def app_body(session: Session, services: Services, app: App) -> AppBody:
    return app_bodies(session, services, [app])[0]


def app_bodies(session: Session, services: Services, apps: Sequence[App]) -> list[AppBody]:
    plans = plans_by_id(session, {app.plan_id for app in apps})
    running = running_replicas(session, [app.id for app in apps])
    processes = _process_types(session, apps)
    return [_body(services, app, plans[app.plan_id], running.get(app.id, 0), processes.get(app.id, {})) for app in apps]


def _process_types(session: Session, apps: Sequence[App]) -> dict[str, dict[str, str]]:
    """Process types of the current release by application; those without one are missing."""
    current = [app.current_deployment_id for app in apps if app.current_deployment_id is not None]
    if not current:
        return {}
    query = (
        sa.select(Deployment.app_id, Slug.process_types)
        .join(Slug, Slug.id == Deployment.slug_id)
        .where(Deployment.id.in_(current))
    )
    return dict(session.execute(query).all())


def wanted_formation(app: App, process_types: Mapping[str, str]) -> dict[str, int]:
    """Before the first release only what was asked for is known."""
    return formation_of(process_types, app.formation) if process_types else dict(app.formation)


def cost_per_hour_micro(app: App, formation: Mapping[str, int]) -> int:
    return app.price_per_hour_micro * sum(formation.values()) if app.wanted == Wanted.RUNNING else 0


def _body(services: Services, app: App, plan: Plan, running: int, process_types: dict[str, str]) -> AppBody:
    formation = wanted_formation(app, process_types)
    return AppBody.model_validate(
        {
            "id": app.id,
            "name": app.name,
            "slug": app.slug,
            "status": app.status,
            "status_reason": app.status_reason,
            "wanted": app.wanted,
            "url": services.app_url(app.slug),
            "git_url": app.git_url,
            "branch": app.branch,
            "buildpack": buildpack_shown(app.buildpacks),
            "build_cache": app.build_cache,
            "health_check": HealthCheckBody.model_validate(
                {
                    "type": app.health_type,
                    "path": app.health_path,
                    "interval_s": app.health_interval_s,
                    "timeout_s": app.health_timeout_s,
                    "retries": app.health_retries,
                }
            ),
            "plan": _plan_of(app, plan, services.currency),
            "replicas": ReplicaCounts(desired=formation.get(WEB, 0), running=running, max=app.max_replicas),
            "formation": formation,
            "process_types": process_types,
            "cost_per_hour": to_decimal_string(cost_per_hour_micro(app, formation)),
            "currency": services.currency,
            "current_version": app.current_version,
            "created_at": app.created_at,
        }
    )


def plan_body(plan: Plan, currency: str) -> PlanBody:
    return PlanBody(
        slug=plan.slug,
        name=plan.name,
        price_per_hour=to_decimal_string(plan.price_per_hour_micro),
        price_per_month=to_decimal_string(plan.price_per_hour_micro * HOURS_PER_MONTH),
        currency=currency,
        cpu=plan.cpu_millis / 1000,
        memory_mb=plan.memory_mb,
        disk_mb=plan.disk_mb,
        max_replicas=plan.max_replicas,
        features=plan.features,
    )


def _plan_of(app: App, plan: Plan, currency: str) -> PlanBody:
    """What the application has of its plan, as it was when it was chosen."""
    return PlanBody(
        slug=app.plan_slug,
        name=plan.name,
        price_per_hour=to_decimal_string(app.price_per_hour_micro),
        price_per_month=to_decimal_string(app.price_per_hour_micro * HOURS_PER_MONTH),
        currency=currency,
        cpu=app.cpu_millis / 1000,
        memory_mb=app.memory_mb,
        disk_mb=app.disk_mb,
        max_replicas=app.max_replicas,
        features=plan.features,
    )
