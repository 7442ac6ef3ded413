"""The price before the action, and whether the wallet carries it: by the code that charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skypanel.apps.models import App, Wanted
from skypanel.billing.forecast import cost_with, hour_costs, hours_left, kept_bytes, will_burn
from skypanel.billing.ledger import balance
from skypanel.db import Session
from skypanel.deployments.standing import standing_of
from skypanel.errors import Conflict
from skypanel.kit.money import HOURS_PER_MONTH, to_decimal_string
from skypanel.orgs.models import Organization, Plan


@dataclass(frozen=True)
class Preview:
    """Amounts in micro-units. `balance_after`: of the wallet, after an hour of everything the organization runs, which
    is also what was granted to its other applications and does not serve yet."""

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
    def hours_left(self) -> int | None:
        """That the balance lasts, with everything the organization runs; None: it lasts."""
        return hours_left(self.balance, self.organization_per_hour) if self.billed else None

    @property
    def affordable(self) -> bool:
        """What makes nothing dearer always is."""
        return not self.billed or self.per_hour <= self.before_per_hour or self.balance_after >= 0


@dataclass(frozen=True)
class Purse:
    """What a wallet has, and what an hour of everything else of the organization costs, used or granted."""

    balance: int
    others: int
    billed: bool

    def preview(self, replicas: int, most: int, *, before: int, after: int) -> Preview:
        return Preview(replicas, most, before, after, self.others + after, self.balance, self.billed)


def purse_of(session: Session, organization: Organization, *, without: str = "") -> Purse:
    """`without`: the application whose price is asked for."""
    others = will_burn(session, organization.id, without=without)
    return Purse(balance(session, organization.id), others, organization.billed)


def preview_new(session: Session, organization: Organization, plan: Plan, *, replicas: int) -> Preview:
    """Of an application that is not there yet."""
    return _new(purse_of(session, organization), plan, replicas)


def previews_of_new(session: Session, organization: Organization, plans: Sequence[Plan]) -> Mapping[str, list[Preview]]:
    """Plan -> previews of 0 to the most replicas that it allows."""
    purse = purse_of(session, organization)
    return {plan.slug: [_new(purse, plan, count) for count in range(plan.max_replicas + 1)] for plan in plans}


def _new(purse: Purse, plan: Plan, replicas: int) -> Preview:
    cost = hour_costs(plan=plan.slug, price=plan.price_per_hour_micro, replicas=replicas)
    return purse.preview(replicas, plan.max_replicas, before=0, after=cost)


def preview_change(
    session: Session, organization: Organization, app: App, *, formation: dict[str, int] | None = None,
    plan: Plan | None = None,
) -> Preview:  # fmt: skip
    """Of an application with some process types scaled, or under another plan. One that is stopped is shown as if it
    ran."""
    change = _change_of(session, organization, app)
    return change.preview({**change.formation, **(formation or {})}, plan)


def previews_of_scales(session: Session, organization: Organization, app: App) -> Mapping[str, list[Preview]]:
    """Process type -> previews of 0 to the most replicas that the plan allows: a few queries for all of them."""
    change = _change_of(session, organization, app)
    return {
        name: [change.preview({**change.formation, name: count}) for count in range(app.max_replicas + 1)]
        for name in change.formation
    }


def previews_of_plans(
    session: Session, organization: Organization, app: App, plans: Sequence[Plan]
) -> Mapping[str, Preview]:
    """Plan -> preview of the application under it; under its own, with the price that it has."""
    change = _change_of(session, organization, app)
    return {plan.slug: change.preview(change.formation, None if plan.slug == app.plan_slug else plan) for plan in plans}


@dataclass(frozen=True)
class _Change:
    """Everything that any preview of an application needs, read once."""

    purse: Purse
    app: App
    formation: Mapping[str, int]
    stored_bytes: int

    def preview(self, wanted: Mapping[str, int], plan: Plan | None = None) -> Preview:
        app, replicas = self.app, sum(wanted.values())
        runs = app.wanted == Wanted.RUNNING and app.current_deployment_id is not None
        now = sum(self.formation.values()) if runs else 0
        before = cost_with(app, replicas=now, stored_bytes=self.stored_bytes)
        after = cost_with(app, replicas=replicas, stored_bytes=self.stored_bytes, plan=plan)
        most = app.max_replicas if plan is None else plan.max_replicas
        return self.purse.preview(replicas, most, before=before, after=after)


def _change_of(session: Session, organization: Organization, app: App) -> _Change:
    purse, formation = purse_of(session, organization, without=app.id), standing_of(session, [app])[app.id].formation
    return _Change(purse, app, formation, kept_bytes(session, app))


def require_funds(preview: Preview, *, currency: str) -> None:
    """Raises Conflict (`funds_missing`) when the wallet does not carry one hour."""
    if not preview.affordable:
        raise Conflict(missing_funds(preview, currency=currency), code="funds_missing")


def missing_funds(preview: Preview, *, currency: str) -> str:
    """The sentence for one that is not affordable."""
    missing = -preview.balance_after
    return (
        f"The wallet has {to_decimal_string(preview.balance)} {currency}, and one hour of everything would cost "
        f"{to_decimal_string(preview.organization_per_hour)} {currency}: {to_decimal_string(missing)} {currency} are "
        "missing. Refill the wallet, or choose fewer replicas or a smaller plan."
    )
