"""The price before the action, in words: what an hour and a month cost, and what the wallet says to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skypanel.apps.models import App
from skypanel.billing.preview import Preview, missing_funds, previews_of_new, previews_of_plans, previews_of_scales
from skypanel.dashboard.pages import hours_shown
from skypanel.db import Session
from skypanel.deployments.standing import Standing
from skypanel.http.context import Services
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.models import Organization, Plan

Price = Mapping[str, str | bool]
"""`{"price", "funds", "refused"}`: two sentences, and whether the wallet does not carry it."""
Slider = tuple[str, int, list[Price]]
"""Process type, wanted replicas, and the price of each number of replicas."""


def prices_of_scales(
    session: Session, services: Services, organization: Organization, app: App, standing: Standing
) -> list[Slider]:
    found = previews_of_scales(session, organization, app)
    return [
        (name, wanted, [
            _price(services, f"{count} of {app.max_replicas} replicas", preview)
            for count, preview in enumerate(found[name])
        ])
        for name, wanted in standing.formation.items()
    ]  # fmt: skip


def prices_of_new(
    session: Session, services: Services, organization: Organization, plans: Sequence[Plan]
) -> Mapping[str, list[Price]]:
    """Plan -> prices of 0 to the most replicas that it allows."""
    return {
        plan: [_price(services, replicas_shown(count), preview) for count, preview in enumerate(previews)]
        for plan, previews in previews_of_new(session, organization, plans).items()
    }


def prices_of_plans(
    session: Session, services: Services, organization: Organization, app: App, plans: Sequence[Plan]
) -> Mapping[str, Price]:
    """Plan -> price of the application under it; under its own, with the price that it has."""
    return {
        plan: _price(services, replicas_shown(preview.replicas), preview)
        for plan, preview in previews_of_plans(session, organization, app, plans).items()
    }


def replicas_shown(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


def _price(services: Services, replicas: str, preview: Preview) -> Price:
    """`2 replicas · 0.0694 USD per hour · about 50.66 USD per month`, and what is left of the wallet."""
    currency, month = services.currency, to_decimal_string(round(preview.per_month, -4))
    price = (
        f"{replicas} · {to_decimal_string(preview.per_hour)} {currency} per hour · about {month} {currency} per month"
    )
    return {"price": price, "funds": _funds(preview, currency), "refused": not preview.affordable}


def _funds(preview: Preview, currency: str) -> str:
    if not preview.billed:
        return "Nothing is charged: this organization does not pay for what it uses."
    if not preview.affordable:
        return missing_funds(preview, currency=currency)
    has, after = to_decimal_string(preview.balance), to_decimal_string(preview.balance_after)
    left = preview.hours_left
    if left is None:
        return f"The wallet has {has} {currency}, and nothing is used."
    return f"The wallet has {has} {currency}: {after} {currency} after an hour of all; lasts {hours_shown(left)}."
