"""Plans to choose from."""

from __future__ import annotations

from skypanel.api.app_view import plan_body
from skypanel.api.shapes import PlanBody
from skypanel.http.context import ServicesDep
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody
from skypanel.http.session import ReadSession
from skypanel.http.viewer import CurrentUser
from skypanel.orgs.plans import list_active_plans

router = api_router(prefix="/api/paas/plans", tag="plans")


@router.get("", summary="Plans that can be chosen")
def list_plans(session: ReadSession, _user: CurrentUser, services: ServicesDep) -> PageBody[PlanBody]:
    """All of them: `next_cursor` is always null."""
    return PageBody(items=[plan_body(plan, services.currency) for plan in list_active_plans(session)])
