"""The price before the action, and whether the wallet carries it: by the code that charges."""

from __future__ import annotations

from dataclasses import dataclass

from skypanel.apps.models import App, Wanted
from skypanel.billing.forecast import burns, cost_of_app, hour_costs
from skypanel.billing.ledger import balance
from skypanel.db import Session
from skypanel.deployments.standing import standing_of
from skypanel.errors import Conflict
from skypanel.kit.money import HOURS_PER_MONTH, to_decimal_string
from skypanel.orgs.models import Organization, Plan


@dataclass(frozen=True)
class Preview:
    """Amounts in micro-units. `balance_after`: of the wallet, after an hour of everything the organization runs."""

    replicas: int  # of all process types
    max_replicas: int  # of each process type
    before_per_hour: int
    per_hour: int
    organization_per_hour: int
    balance: int
    billed: bool

    @property
    def per_month(self) -> int:
        return self.per_hour * HOURS_PER_MONTH

    @property
    def balance_after(self) -> int:
        return self.balance - (self.organization_per_hour if self.billed else 0)

    @property
    def affordable(self) -> bool:
        """What makes nothing dearer always is."""
        return not self.billed or self.per_hour <= self.before_per_hour or self.balance_after >= 0


def preview_new(session: Session, organization: Organization, plan: Plan, *, replicas: int) -> Preview:
    """Of an application that is not there yet."""
    cost = hour_costs(plan=plan.slug, price=plan.price_per_hour_micro, replicas=replicas)
    return _preview(session, organization, replicas, plan.max_replicas, before=0, after=cost)


def preview_change(
    session: Session, organization: Organization, app: App, *, formation: dict[str, int] | None = None,
    plan: Plan | None = None,
) -> Preview:  # fmt: skip
    """Of an application with some process types scaled, or under another plan. One that is stopped is shown as if it
    ran."""
    standing = standing_of(session, [app])[app.id]
    wanted = {**standing.formation, **(formation or {})}
    runs = app.wanted == Wanted.RUNNING and app.current_deployment_id is not None
    before = cost_of_app(session, app, replicas=sum(standing.formation.values()) if runs else 0)
    after = cost_of_app(session, app, replicas=sum(wanted.values()), plan=plan)
    most = app.max_replicas if plan is None else plan.max_replicas
    return _preview(session, organization, sum(wanted.values()), most, before=before, after=after, app_id=app.id)


def _preview(
    session: Session, organization: Organization, replicas: int, most: int, *, before: int, after: int, app_id: str = ""
) -> Preview:
    others = burns(session, [organization.id], without=app_id)[organization.id]
    return Preview(
        replicas, most, before, after, others + after, balance(session, organization.id), organization.billed
    )  # fmt: skip


def require_funds(preview: Preview, *, currency: str) -> None:
    """Raises Conflict (`funds_missing`) when the wallet does not carry one hour."""
    if preview.affordable:
        return
    missing = -preview.balance_after
    raise Conflict(
        f"The wallet has {to_decimal_string(preview.balance)} {currency}, and one hour of everything would cost "
        f"{to_decimal_string(preview.organization_per_hour)} {currency}: {to_decimal_string(missing)} {currency} are "
        "missing. Refill the wallet, or choose fewer replicas or a smaller plan.",
        code="funds_missing",
    )
