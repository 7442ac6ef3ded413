"""The price before an action: of a new application, of more replicas, of another plan. Nothing is changed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from skypanel.api.target import ViewedApp
from skypanel.api.wallet_bodies import PriceBody, price_body
from skypanel.apps.plan_choice import choose_plan
from skypanel.billing.preview import preview_change, preview_new
from skypanel.deployments.standing import standing_of
from skypanel.errors import Invalid
from skypanel.http.context import ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.session import ReadSession
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Permission, require
from skypanel.orgs.organizations import get_organization

router = api_router(prefix="/api/paas", tag="wallet")
Replicas = Annotated[int, Query(ge=0, le=1000)]
Plan = Annotated[str | None, Query(max_length=80, description="Slug of a plan")]
ProcessType = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


@router.get("/price", responses=problems(404), summary="The price of a new application")
def get_price(
    session: ReadSession, viewer: CurrentViewer, services: ServicesDep, plan: Plan = None, replicas: Replicas = 1
) -> PriceBody:
    require(viewer, Permission.VIEW)
    chosen = choose_plan(session, plan)
    found = preview_new(session, get_organization(session, viewer), chosen, replicas=replicas)
    return price_body(
        found, plan=chosen.slug, process_type="web", current=0, replicas=replicas,
        fits=replicas <= chosen.max_replicas, currency=services.currency,
    )  # fmt: skip


@router.get("/apps/{id}/price", responses=problems(404), summary="The price of a change")
def get_application_price(
    app: ViewedApp,
    session: ReadSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    replicas: Annotated[int | None, Query(ge=0, le=1000, description="Left out: as many as now")] = None,
    process_type: ProcessType = "web",
    plan: Plan = None,
) -> PriceBody:
    """Of the application with so many replicas of a process type, and under another plan. One that is stopped is shown
    as if it ran."""
    standing = standing_of(session, [app])[app.id]
    if replicas is not None and standing.process_types and process_type not in standing.formation:
        known = ", ".join(sorted(standing.formation))
        raise Invalid(
            f"The Procfile has no process type {process_type!r}; it has {known}.", code="unknown_process_type"
        )
    current = standing.formation.get(process_type, 0)
    wanted = current if replicas is None else replicas
    # Its own plan costs what it did when it was chosen.
    chosen = None if plan is None or plan == app.plan_slug else choose_plan(session, plan)
    formation = {} if replicas is None else {process_type: replicas}
    found = preview_change(session, get_organization(session, viewer), app, formation=formation, plan=chosen)
    most = max({**standing.formation, **formation}.values(), default=0)
    return price_body(
        found, plan=chosen.slug if chosen else app.plan_slug, process_type=process_type, current=current,
        replicas=wanted, fits=most <= found.max_replicas, currency=services.currency,
    )  # fmt: skip
