"""Every component of the dashboard on one page, for whoever changes them: `/_components`, for platform admins."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from fastapi.responses import Response

from skypanel.dashboard.account import PlatformAdminAccount
from skypanel.dashboard.page_route import page_router
from skypanel.dashboard.pages import page
from skypanel.http.context import ServicesDep

router = page_router()

STATUSES = (
    "created", "queued", "building", "deploying", "running", "superseded", "stopped", "suspended", "failed", "crashed",
    "cancelled", "starting", "healthy", "unhealthy", "backoff", "draining", "ready", "lost", "joining", "drained",
    "active", "low", "free",
)  # fmt: skip


@router.get("/_components")
def show_components(request: Request, account: PlatformAdminAccount, services: ServicesDep) -> Response:
    now = services.clock.now()
    return page(
        request,
        "components.html",
        account=account,
        statuses=STATUSES,
        moments=[now - timedelta(seconds=seconds) for seconds in (1, 90, 7_500, 300_000)],
    )
