"""What an hour costs as things are, how long a wallet lasts, and what an hour would cost after an action."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.billing.core.hours import HOUR_S
from skypanel.billing.core.rating import Served, Stored, Terms, rate
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.models import Replica
from skypanel.deployments.standing import granted_in
from skypanel.orgs.models import Plan


def hour_costs(*, plan: str, price: int, replicas: int, stored_bytes: int = 0, storage_price: int = 0) -> int:
    """A whole hour of an application with so many replicas, in micro-units; by the code that charges."""
    lines = rate(
        0, [Served(0, HOUR_S, plan, price)] * replicas, [Terms(0, plan, storage_price)],
        [Stored(0, HOUR_S, stored_bytes)],
    )  # fmt: skip
    return sum(line.amount_micro for line in lines)


def kept_bytes(session: Session, app: App) -> int:
    """Of the releases that are kept of it."""
    kept = sa.select(sa.func.coalesce(sa.func.sum(Slug.size_bytes), 0))
    return int(session.scalar(kept.where(Slug.app_id == app.id, Slug.removed_at.is_(None))) or 0)


def cost_with(app: App, *, replicas: int, stored_bytes: int, plan: Plan | None = None) -> int:
    """An hour of it with so many replicas of all its process types. `plan`: as if it had chosen that one."""
    terms: App | Plan = app if plan is None else plan
    return hour_costs(
        plan=app.plan_slug if plan is None else plan.slug, price=terms.price_per_hour_micro, replicas=replicas,
        stored_bytes=stored_bytes, storage_price=terms.storage_price_micro,
    )  # fmt: skip


def burns(session: Session, organizations: Collection[str]) -> Mapping[str, int]:
    """Organization -> micro-units an hour, as things are: what serves, and what is kept."""
    serving = _serving(session, organizations, Replica.organization_id)
    keeping = _keeping(session, organizations, App.organization_id)
    return {each: serving[each] + keeping[each] for each in organizations}


def burns_of_apps(session: Session, organization_id: str) -> Mapping[str, int]:
    """Application -> micro-units an hour; those that use nothing are missing."""
    serving = _serving(session, [organization_id], Replica.app_id)
    keeping = _keeping(session, [organization_id], App.id)
    return {each: serving[each] + keeping[each] for each in {*serving, *keeping}}


def will_burn(session: Session, organization_id: str, *, without: str = "") -> int:
    """Micro-units an hour once everything that was granted serves: of each application the larger of that and of what
    serves now, and what is kept. `without`: an application that is left out. Three queries for any number of them."""
    serving = _serving(session, [organization_id], Replica.app_id, without=without)
    granted = {
        each.app_id: hour_costs(plan=each.plan_slug, price=each.price_per_hour_micro, replicas=each.replicas)
        for each in granted_in(session, organization_id, without=without)
    }
    kept = _keeping(session, [organization_id], App.organization_id, without=without)[organization_id]
    return kept + sum(max(serving[each], granted.get(each, 0)) for each in {*serving, *granted})


def _serving(
    session: Session, organizations: Collection[str], by: sa.SQLColumnExpression[str], *, without: str = ""
) -> defaultdict[str, int]:
    """By a column of replicas."""
    query = (
        sa.select(by, Replica.plan_slug, Replica.price_per_hour_micro, sa.func.count())
        .where(
            Replica.organization_id.in_(organizations),
            Replica.metered_from.is_not(None),
            Replica.metered_until.is_(None),
            Replica.app_id != without,
        )
        .group_by(by, Replica.plan_slug, Replica.price_per_hour_micro)
    )
    found = defaultdict[str, int](int)
    for key, plan, price, count in session.execute(query):  # whole hours: nothing to round by app
        found[key] += hour_costs(plan=plan, price=price, replicas=count)
    return found


def _keeping(
    session: Session, organizations: Collection[str], by: sa.SQLColumnExpression[str], *, without: str = ""
) -> defaultdict[str, int]:
    """By a column of applications."""
    query = (
        sa.select(by, App.plan_slug, App.storage_price_micro, sa.func.sum(Slug.size_bytes))
        .join(Slug, Slug.app_id == App.id)
        .where(
            App.organization_id.in_(organizations), App.deleted_at.is_(None), App.storage_price_micro > 0,
            Slug.removed_at.is_(None), App.id != without,
        )
        .group_by(App.organization_id, App.id, App.plan_slug, App.storage_price_micro)
    )  # fmt: skip
    found = defaultdict[str, int](int)
    for key, plan, price, size in session.execute(query, execution_options={"yield_per": 1000}):
        found[key] += hour_costs(plan=plan, price=0, replicas=0, stored_bytes=int(size), storage_price=price)
    return found


def hours_left(balance_micro: int, burn_micro: int) -> int | None:
    """Whole hours; None when nothing is used."""
    if burn_micro <= 0:
        return None
    return max(0, balance_micro) // burn_micro


def month_of(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
