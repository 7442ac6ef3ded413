"""Applications as bodies: a page of them in three more queries, whatever its length."""

from __future__ import annotations

from collections.abc import Sequence

from skypanel.api.shapes import AppBody, HealthCheckBody, PlanBody, ReplicaCounts
from skypanel.apps.models import App
from skypanel.apps.plan_choice import plans_by_id
from skypanel.apps.rules import buildpack_shown
from skypanel.db import Session
from skypanel.deployments.standing import Standing, standing_of
from skypanel.http.context import Services
from skypanel.kit.money import HOURS_PER_MONTH, to_decimal_string
from skypanel.orgs.models import Plan


def app_body(session: Session, services: Services, app: App) -> AppBody:
    return app_bodies(session, services, [app])[0]


def app_bodies(session: Session, services: Services, apps: Sequence[App]) -> list[AppBody]:
    plans = plans_by_id(session, {app.plan_id for app in apps})
    standing = standing_of(session, apps)
    return [_body(services, app, plans[app.plan_id], standing[app.id]) for app in apps]


def _body(services: Services, app: App, plan: Plan, standing: Standing) -> AppBody:
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
            "replicas": ReplicaCounts(desired=standing.desired, running=standing.running, max=app.max_replicas),
            "formation": standing.formation,
            "process_types": standing.process_types,
            "cost_per_hour": to_decimal_string(standing.cost_per_hour_micro),
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
        storage_price=to_decimal_string(plan.storage_price_micro),
        log_price=to_decimal_string(plan.log_price_micro),
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
        storage_price=to_decimal_string(app.storage_price_micro),
        log_price=to_decimal_string(app.log_price_micro),
        currency=currency,
        cpu=app.cpu_millis / 1000,
        memory_mb=app.memory_mb,
        disk_mb=app.disk_mb,
        max_replicas=app.max_replicas,
        features=plan.features,
    )
