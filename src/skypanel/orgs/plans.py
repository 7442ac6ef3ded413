"""Plans: the four defaults, what may be chosen, and what the platform's operator changes.

Applications keep their own copy of the plan they chose, so nothing here changes what they get or pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from skypanel.db import Session
from skypanel.errors import FieldError, Invalid
from skypanel.kit.slug import is_app_slug
from skypanel.orgs.errors import PlanExists, PlanInUse, PlanNotFound
from skypanel.orgs.models import Plan

FEATURES = ("custom_domain", "auto_scaling", "ssl")


@dataclass(frozen=True)
class PlanTerms:
    """Everything of a plan that an operator may set. Prices in micro-units of the currency."""

    name: str
    cpu_millis: int
    memory_mb: int
    disk_mb: int
    max_replicas: int
    price_per_hour_micro: int
    storage_price_micro: int = 0
    log_price_micro: int = 0
    features: tuple[str, ...] = ()
    position: int = 0


DEFAULTS: dict[str, PlanTerms] = {
    "hobby": PlanTerms("Hobby", 500, 512, 10 * 1024, 1, 6_900, features=("ssl",), position=1),
    "standard": PlanTerms("Standard", 1000, 1024, 20 * 1024, 3, 34_700, features=("custom_domain", "ssl"), position=2),
    "pro": PlanTerms("Pro", 2000, 2048, 40 * 1024, 10, 69_400, features=FEATURES, position=3),
    "business": PlanTerms("Business", 4000, 4096, 80 * 1024, 20, 138_900, features=FEATURES, position=4),
}


def seed_plans(session: Session, *, now: datetime) -> list[Plan]:
    """Adds the default plans that are missing; those that exist stay as the operator made them. Idempotent."""
    existing = set(session.scalars(sa.select(Plan.slug)))
    missing = {slug: terms for slug, terms in DEFAULTS.items() if slug not in existing}
    return [create_plan(session, slug=slug, terms=terms, now=now) for slug, terms in missing.items()]


def list_active_plans(session: Session) -> list[Plan]:
    """What may be chosen today, cheapest first as the operator ordered them."""
    return list(session.scalars(sa.select(Plan).where(Plan.retired_at.is_(None)).order_by(Plan.position, Plan.id)))


def list_all_plans(session: Session) -> list[Plan]:
    return list(session.scalars(sa.select(Plan).order_by(Plan.position, Plan.id)))


def get_plan(session: Session, slug: str) -> Plan:
    """By slug or id, retired or not. Raises PlanNotFound."""
    plan = session.scalars(sa.select(Plan).where(sa.or_(Plan.slug == slug, Plan.id == slug))).one_or_none()
    if plan is None:
        raise PlanNotFound(slug)
    return plan


def create_plan(session: Session, *, slug: str, terms: PlanTerms, now: datetime) -> Plan:
    """Raises Invalid or PlanExists."""
    if not is_app_slug(slug):
        message = "must be lower-case letters, digits and hyphens, 3 to 40, beginning with a letter"
        raise Invalid(f"The plan's slug {message}.", errors=[FieldError("slug", message)])
    plan = Plan(slug=slug, created_at=now)
    _apply(plan, terms)
    try:
        with session.begin_nested():
            session.add(plan)
    except IntegrityError as error:
        raise PlanExists(slug) from error
    return plan


def edit_plan(plan: Plan, *, changes: dict[str, object]) -> Plan:
    """`changes` names fields of PlanTerms. Existing applications keep what they have. Raises Invalid."""
    _apply(plan, replace(terms_of(plan), **changes))  # type: ignore[arg-type] # checked by `_apply`
    return plan


def retire_plan(plan: Plan, *, now: datetime) -> Plan:
    """Nobody can choose it any more; who has it keeps it. Idempotent."""
    plan.retired_at = plan.retired_at or now
    return plan


def reinstate_plan(plan: Plan) -> Plan:
    """The undo of retiring."""
    plan.retired_at = None
    return plan


def delete_plan(session: Session, plan: Plan, *, in_use: Callable[[Session, str], bool]) -> None:
    """`in_use` says whether any application (deleted ones too: their history names it) has the plan of that id:
    applications live in a room above. Raises PlanInUse."""
    if in_use(session, plan.id):
        raise PlanInUse(plan.slug)
    session.delete(plan)


def terms_of(plan: Plan) -> PlanTerms:
    return PlanTerms(
        name=plan.name,
        cpu_millis=plan.cpu_millis,
        memory_mb=plan.memory_mb,
        disk_mb=plan.disk_mb,
        max_replicas=plan.max_replicas,
        price_per_hour_micro=plan.price_per_hour_micro,
        storage_price_micro=plan.storage_price_micro,
        log_price_micro=plan.log_price_micro,
        features=tuple(plan.features),
        position=plan.position,
    )


def _apply(plan: Plan, terms: PlanTerms) -> None:
    _check(terms)
    plan.name = terms.name
    plan.cpu_millis, plan.memory_mb, plan.disk_mb = terms.cpu_millis, terms.memory_mb, terms.disk_mb
    plan.max_replicas = terms.max_replicas
    plan.price_per_hour_micro = terms.price_per_hour_micro
    plan.storage_price_micro, plan.log_price_micro = terms.storage_price_micro, terms.log_price_micro
    plan.features = list(terms.features)
    plan.position = terms.position


def _check(terms: PlanTerms) -> None:
    lowest = {
        "cpu_millis": 10,
        "memory_mb": 32,
        "disk_mb": 64,
        "max_replicas": 1,
        "price_per_hour_micro": 0,
        "storage_price_micro": 0,
        "log_price_micro": 0,
    }
    errors = [
        FieldError(field, f"must be at least {least}")
        for field, least in lowest.items()
        if getattr(terms, field) < least
    ]
    if not 1 <= len(terms.name.strip()) <= 80:
        errors.append(FieldError("name", "must have 1 to 80 characters"))
    unknown = sorted(set(terms.features) - set(FEATURES))
    if unknown:
        errors.append(FieldError("features", f"knows {', '.join(FEATURES)}, not {', '.join(unknown)}"))
    if errors:
        raise Invalid(f"The plan is not valid: {errors[0].field} {errors[0].message}.", errors=errors)
