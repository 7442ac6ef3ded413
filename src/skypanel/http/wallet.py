"""Money around requests: what a new organization begins with, and the price of what is asked for."""

from __future__ import annotations

from skypanel.activity.record import PLATFORM_ACTOR
from skypanel.apps.guards import active_organization
from skypanel.apps.models import App
from skypanel.apps.plan_choice import choose_plan
from skypanel.apps.queries import lock_app
from skypanel.billing.credit import enter
from skypanel.billing.ledger import hold_wallet
from skypanel.billing.models import JournalKind
from skypanel.billing.preview import Preview, preview_change, preview_new, require_funds
from skypanel.db import Session
from skypanel.http.context import Services
from skypanel.orgs.models import Organization
from skypanel.orgs.organizations import Opened


def opening(services: Services, *, credited: bool) -> Opened:
    """`credited`: its owner is new here, and gets what the operator gives to such."""

    def opened(session: Session, organization: Organization) -> None:
        organization.billed = services.billing
        if credited and services.signup_credit_micro:
            enter(
                session, organization, kind=JournalKind.CREDIT, amount_micro=services.signup_credit_micro,
                reason="welcome credit", by=PLATFORM_ACTOR, now=services.clock.now(), currency=services.currency,
            )  # fmt: skip

    return opened


def in_turn(session: Session, organization_id: str, app: App | None = None) -> None:
    """An active organization's request that may cost more. Until it is committed, others of the organization wait: they
    would count on the same money. The wallet is held first and the application after it, as whoever charges does, so
    that nobody waits in a circle. Raises Conflict (`organization_suspended`)."""
    hold_wallet(session, organization_id)
    session.refresh(session.get_one(Organization, organization_id), ["status", "billed"])  # whoever held it changed it
    active_organization(session, organization_id)
    if app is not None:
        lock_app(session, app)


def require_funds_for_new(
    session: Session, services: Services, organization_id: str, *, plan: str | None, replicas: int
) -> Preview:
    """Raises Conflict (`funds_missing`) when the wallet does not carry an hour of it, Invalid (`plan_unknown`)."""
    organization = session.get_one(Organization, organization_id)
    found = preview_new(session, organization, choose_plan(session, plan), replicas=replicas)
    require_funds(found, currency=services.currency)
    return found


def require_funds_for(
    session: Session, services: Services, app: App, *, formation: dict[str, int] | None = None,
    plan: str | None = None,
) -> Preview:  # fmt: skip
    """Raises Conflict (`funds_missing`) when the wallet does not carry an hour of the change, Invalid
    (`plan_unknown`)."""
    organization = session.get_one(Organization, app.organization_id)
    chosen = None if plan is None else choose_plan(session, plan)
    found = preview_change(session, organization, app, formation=formation, plan=chosen)
    require_funds(found, currency=services.currency)
    return found
