"""What every page of one application shows: its head, and whether something of it is on its way."""

from __future__ import annotations

from skypanel.apps.models import App
from skypanel.apps.queries import get_app
from skypanel.dashboard.account import Account
from skypanel.dashboard.live import Follow, View
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.deployments.queries import active_deployment
from skypanel.deployments.standing import standing_of
from skypanel.http.context import Services


def app_view(
    session: Session,
    services: Services,
    app: App,
    template: str,
    *,
    tab: str,
    follow: Follow | None = None,
    topics: frozenset[str] = frozenset(),
    line_address: str = "#l-",
    **context: object,
) -> View:
    """A page of `app`, whose head and regions follow it. `tab` is the last part of its address, "" for the overview."""
    serving = session.get(Deployment, app.current_deployment_id) if app.current_deployment_id else None
    active = active_deployment(session, app=app)
    head = {
        "app": app,
        "tab": tab,
        "url": services.app_url(app.slug),
        "standing": standing_of(session, [app])[app.id],
        "serving": serving,
        "active": active,
    }
    followed = {f"app:{app.id}", *topics}
    if active is not None:
        followed.add(f"deployment:{active.id}")
    return View(template, {**head, **context}, frozenset(followed), follow, line_address)


def seen_app(session: Session, account: Account, id: str) -> App:
    """Raises NotFound for what is not the viewer's organization's."""
    return get_app(session, account.viewer, id)
