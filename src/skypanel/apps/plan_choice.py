"""The plan an application chose, copied onto it: editing the plan later does not change what it pays."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App, PlanPeriod
from skypanel.apps.recheck import recheck
from skypanel.apps.rules import refuse
from skypanel.db import Session
from skypanel.errors import Unavailable
from skypanel.orgs.models import Plan
from skypanel.orgs.plans import list_active_plans


def choose_plan(session: Session, slug: str | None) -> Plan:
    """The named plan, or the operator's first one. Raises Invalid (`plan_unknown`) and names those there are."""
    plans = list_active_plans(session)
    if not plans:
        raise Unavailable("This platform has no plans yet; its operator has to add one.", code="no_plans")
    if slug is None:
        return plans[0]
    for plan in plans:
        if plan.slug == slug:
            return plan
    known = ", ".join(plan.slug for plan in plans)
    raise refuse("plan", f"There is no such plan to choose. There are {known}.", code="plan_unknown")


def replicas_problem(plan: Plan, formation: dict[str, int]) -> str | None:
    """Why this many replicas do not fit the plan, whose maximum holds for each process type."""
    most = max(formation.values(), default=0)
    if most <= plan.max_replicas:
        return None
    return f"The plan {plan.name} allows up to {plan.max_replicas} replicas; {most} are wanted."


def take_plan(session: Session, app: App, plan: Plan, *, now: datetime) -> None:
    """Copies what the plan gives and costs now, and writes down since when. Raises Invalid (`replicas_above_plan`) when
    the replicas do not fit."""
    problem = replicas_problem(plan, app.formation)
    if problem is not None:
        raise refuse("replicas", problem, code="replicas_above_plan")
    app.plan_id, app.plan_slug = plan.id, plan.slug
    app.cpu_millis, app.memory_mb, app.disk_mb = plan.cpu_millis, plan.memory_mb, plan.disk_mb
    app.max_replicas, app.price_per_hour_micro = plan.max_replicas, plan.price_per_hour_micro
    app.storage_price_micro, app.log_price_micro = plan.storage_price_micro, plan.log_price_micro
    session.add(app)
    session.flush()
    number = session.scalar(sa.select(sa.func.count()).where(PlanPeriod.app_id == app.id)) or 0
    session.add(
        PlanPeriod(
            app_id=app.id, number=number, since=now, plan_slug=app.plan_slug,
            price_per_hour_micro=app.price_per_hour_micro, storage_price_micro=app.storage_price_micro,
            log_price_micro=app.log_price_micro,
        )
    )  # fmt: skip
    recheck(session, app.id, since=now)


def plans_by_id(session: Session, ids: set[str]) -> dict[str, Plan]:
    """Retired ones too: an application keeps its plan."""
    return {plan.id: plan for plan in session.scalars(sa.select(Plan).where(Plan.id.in_(ids)))}
