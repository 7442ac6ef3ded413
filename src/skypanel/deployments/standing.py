"""How applications stand: what runs of what is wanted, and what that costs an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from skypanel.apps.models import App, Wanted
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import IN_PROGRESS, Deployment
from skypanel.deployments.plan import formation_of
from skypanel.deployments.queries import running_replicas

WEB = "web"


@dataclass(frozen=True)
class Standing:
    process_types: Mapping[str, str]  # of the current release; empty before the first
    formation: Mapping[str, int]  # process type -> wanted replicas while it runs
    running: int  # healthy web replicas
    cost_per_hour_micro: int  # of all wanted replicas; 0 while stopped or suspended

    @property
    def desired(self) -> int:
        """Wanted web replicas."""
        return self.formation.get(WEB, 0)


def standing_of(session: Session, apps: Sequence[App]) -> dict[str, Standing]:
    """By application id: two queries for any number of them."""
    running = running_replicas(session, [app.id for app in apps])
    processes = _process_types(session, apps)
    return {app.id: _standing(app, processes.get(app.id, {}), running.get(app.id, 0)) for app in apps}


def _standing(app: App, process_types: Mapping[str, str], running: int) -> Standing:
    formation = _formation(process_types, app.formation)
    cost = app.price_per_hour_micro * sum(formation.values()) if app.wanted == Wanted.RUNNING else 0
    return Standing(process_types, formation, running, cost)


def _formation(process_types: Mapping[str, str] | None, wanted: Mapping[str, int]) -> dict[str, int]:
    """Before the first release only what was asked for is known."""
    return formation_of(process_types, wanted) if process_types else dict(wanted)


@dataclass(frozen=True)
class Granted:
    """What an application has been allowed to run, whether it serves yet or not."""

    app_id: str
    plan_slug: str
    price_per_hour_micro: int
    replicas: int


def granted_in(session: Session, organization_id: str, *, without: str = "") -> list[Granted]:
    """Of its applications that are to run a release, or have a deployment on its way; `without` is left out. One query
    for any number of them."""
    current, coming = aliased(Deployment), aliased(Deployment)
    query = (
        sa.select(App.id, App.plan_slug, App.price_per_hour_micro, App.formation, Slug.process_types)
        .outerjoin(current, current.id == App.current_deployment_id)
        .outerjoin(Slug, Slug.id == current.slug_id)
        .where(
            App.organization_id == organization_id, App.deleted_at.is_(None), App.id != without,
            sa.or_(
                sa.and_(App.wanted == Wanted.RUNNING, App.current_deployment_id.is_not(None)),
                sa.exists().where(coming.app_id == App.id, coming.status.in_(IN_PROGRESS)),
            ),
        )
    )  # fmt: skip
    rows = session.execute(query, execution_options={"yield_per": 1000})
    return [
        Granted(app_id, plan, price, sum(_formation(process_types, formation).values()))
        for app_id, plan, price, formation, process_types in rows
    ]


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
