"""Plans as the operator makes, edits and retires them. Existing applications keep what they chose."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from skypanel.api.admin_queries import plan_in_use
from skypanel.errors import FieldError, Invalid
from skypanel.http.context import ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import Amount, PageBody, RequestBody, ResponseBody, Timestamp
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import PlatformAdmin
from skypanel.kit.money import HOURS_PER_MONTH, from_decimal_string, to_decimal_string
from skypanel.orgs import plans
from skypanel.orgs.models import Plan
from skypanel.orgs.plans import PlanTerms

router = api_router(prefix="/api/admin/paas/plans", tag="admin")

MAX_INT = 2_000_000_000
Price = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["0.0069"])]
PRICES = {
    "price_per_hour": "price_per_hour_micro",
    "storage_price": "storage_price_micro",
    "log_price": "log_price_micro",
}


class AdminPlanBody(ResponseBody):
    id: str
    slug: str = Field(examples=["hobby"])
    name: str = Field(examples=["Hobby"])
    cpu_millis: int = Field(description="1000 is one core", examples=[500])
    memory_mb: int
    disk_mb: int
    max_replicas: int
    price_per_hour: Amount = Field(description="Per replica and hour")
    price_per_month: Amount = Field(description="Of 730 hours")
    storage_price: Amount = Field(description="Per GB and hour")
    log_price: Amount = Field(description="Per GB")
    currency: str = Field(examples=["USD"])
    features: list[str]
    position: int
    retired_at: Timestamp | None
    created_at: Timestamp


class OneAdminPlan(ResponseBody):
    plan: AdminPlanBody


class PlanChanges(RequestBody):
    """Fields that are left out stay."""

    name: str | None = Field(default=None, max_length=80)
    cpu_millis: int | None = Field(default=None, ge=1, le=MAX_INT)
    memory_mb: int | None = Field(default=None, ge=1, le=MAX_INT)
    disk_mb: int | None = Field(default=None, ge=1, le=MAX_INT)
    max_replicas: int | None = Field(default=None, ge=1, le=10_000)
    price_per_hour: Price | None = None
    storage_price: Price | None = None
    log_price: Price | None = None
    features: list[str] | None = Field(default=None, max_length=20)
    position: int | None = Field(default=None, ge=0, le=MAX_INT)


class NewPlan(PlanChanges):
    slug: str = Field(max_length=40, examples=["nano"])
    name: str = Field(max_length=80, examples=["Nano"])
    cpu_millis: int = Field(ge=1, le=MAX_INT, examples=[250])
    memory_mb: int = Field(ge=1, le=MAX_INT, examples=[256])
    disk_mb: int = Field(ge=1, le=MAX_INT, examples=[5120])
    max_replicas: int = Field(ge=1, le=10_000, examples=[1])
    price_per_hour: Price


@router.get("", responses=problems(403))
def list_admin_plans(session: ReadSession, _: PlatformAdmin, services: ServicesDep) -> PageBody[AdminPlanBody]:
    """Every plan, the retired ones too; all on one page."""
    return PageBody(items=[_plan(plan, services.currency) for plan in plans.list_all_plans(session)])


@router.post("", status_code=201, responses=problems(403, 409))
def create_admin_plan(body: NewPlan, session: WriteSession, _: PlatformAdmin, services: ServicesDep) -> OneAdminPlan:
    """Adds a plan."""
    terms = PlanTerms(**_terms(body))
    made = plans.create_plan(session, slug=body.slug, terms=terms, now=services.clock.now())
    return OneAdminPlan(plan=_plan(made, services.currency))


@router.get("/{slug}", responses=problems(403, 404))
def get_admin_plan(slug: str, session: ReadSession, _: PlatformAdmin, services: ServicesDep) -> OneAdminPlan:
    """One plan, by slug or id."""
    return OneAdminPlan(plan=_plan(plans.get_plan(session, slug), services.currency))


@router.patch("/{slug}", responses=problems(403, 404))
def edit_admin_plan(
    slug: str, body: PlanChanges, session: WriteSession, _: PlatformAdmin, services: ServicesDep
) -> OneAdminPlan:
    """Edits a plan for those who choose it from now on."""
    edited = plans.edit_plan(plans.get_plan(session, slug), changes=_terms(body))
    return OneAdminPlan(plan=_plan(edited, services.currency))


@router.post("/{slug}/retire", responses=problems(403, 404))
def retire_admin_plan(slug: str, session: WriteSession, _: PlatformAdmin, services: ServicesDep) -> OneAdminPlan:
    """Nobody can choose it any more; applications that have it keep it."""
    retired = plans.retire_plan(plans.get_plan(session, slug), now=services.clock.now())
    return OneAdminPlan(plan=_plan(retired, services.currency))


@router.post("/{slug}/reinstate", responses=problems(403, 404))
def reinstate_admin_plan(slug: str, session: WriteSession, _: PlatformAdmin, services: ServicesDep) -> OneAdminPlan:
    """A retired plan may be chosen again."""
    return OneAdminPlan(plan=_plan(plans.reinstate_plan(plans.get_plan(session, slug)), services.currency))


@router.delete("/{slug}", status_code=204, responses=problems(403, 404, 409))
def delete_admin_plan(slug: str, session: WriteSession, _: PlatformAdmin) -> None:
    """Removes a plan that no application ever had."""
    plans.delete_plan(session, plans.get_plan(session, slug), in_use=plan_in_use)


def _terms(body: PlanChanges) -> dict[str, Any]:
    """The fields of PlanTerms that the body names. Raises Invalid for a null: every field of a plan has a value."""
    given = body.model_dump(exclude_unset=True, exclude={"slug"})
    empty = [name for name, value in given.items() if value is None]
    if empty:
        errors = [FieldError(name, "must not be null") for name in empty]
        raise Invalid(f"{empty[0]} must not be null; leave it out to keep it.", errors=errors)
    terms: dict[str, Any] = {}
    for name, value in given.items():
        terms[PRICES.get(name, name)] = from_decimal_string(value) if name in PRICES else value
    if "features" in terms:
        terms["features"] = tuple(terms["features"])
    return terms


def _plan(plan: Plan, currency: str) -> AdminPlanBody:
    return AdminPlanBody(
        id=plan.id,
        slug=plan.slug,
        name=plan.name,
        cpu_millis=plan.cpu_millis,
        memory_mb=plan.memory_mb,
        disk_mb=plan.disk_mb,
        max_replicas=plan.max_replicas,
        price_per_hour=to_decimal_string(plan.price_per_hour_micro),
        price_per_month=to_decimal_string(plan.price_per_hour_micro * HOURS_PER_MONTH),
        storage_price=to_decimal_string(plan.storage_price_micro),
        log_price=to_decimal_string(plan.log_price_micro),
        currency=currency,
        features=plan.features,
        position=plan.position,
        retired_at=plan.retired_at,
        created_at=plan.created_at,
    )
