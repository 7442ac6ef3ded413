"""Machines, for platform admins: the list, one of them with what runs there, and what may be asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form, Request
from fastapi.responses import Response

from skypanel.dashboard.account import Account, PlatformAdminAccount, require_platform_admin
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.db import Session
from skypanel.errors import FieldError, Invalid, NotFound
from skypanel.http.context import ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.sse import MEDIA_TYPE
from skypanel.nodes.ask import drain_problem, removal_problem, request_activate, request_drain, request_removal
from skypanel.nodes.list import list_nodes, node_use, residents
from skypanel.nodes.models import NODES, Availability, Node

router = page_router()

MACHINES = "/admin/machines"
FRESH_S = 30  # a heartbeat younger than this is "moments ago": what changes each second is not sent to open pages


@router.get(MACHINES)
def show_machines(
    request: Request, account: PlatformAdminAccount, session: ReadSession, services: ServicesDep
) -> Response:
    def load(session: Session, account: Account) -> View:
        require_platform_admin(account)
        context = {"machines": list_nodes(session), "fresh_s": FRESH_S, "clustered": services.clustered}
        return View("machines/list.html", context, frozenset({NODES}))

    return live_page(request, account, session, load)


@router.get(MACHINES + "/{name}")
def show_machine(
    request: Request, name: str, account: PlatformAdminAccount, session: ReadSession, services: ServicesDep
) -> Response:
    """One that is not there (any more: it joined, and is listed by its host name; or it was removed) leads to the
    list."""

    def load(session: Session, account: Account) -> View:
        require_platform_admin(account)
        found, living = node_use(session, name), residents(session, name)
        context = {
            "found": found,
            "residents": living,
            "fresh_s": FRESH_S,
            "clustered": services.clustered,
            "drain_problem": drain_problem(session, found.node),
            "removal_problem": removal_problem(session, found.node),
        }
        return View("machines/machine.html", context, frozenset({NODES, *(f"app:{one.app.id}" for one in living)}))

    try:
        return live_page(request, account, session, load)
    except NotFound as error:
        if MEDIA_TYPE in request.headers.get("accept", ""):
            raise
        return tell(see(MACHINES), services, error.detail)


@router.get(MACHINES + "/{name}/{verb}")
def confirm(
    request: Request,
    name: str,
    verb: Literal["drain", "remove"],
    account: PlatformAdminAccount,
    session: ReadSession,
) -> Response:
    return _confirm(request, account, session, name, verb)


@router.post(MACHINES + "/{name}/drain", dependencies=[OwnForm])
def drain(
    request: Request, name: str, account: PlatformAdminAccount, session: WriteSession, services: ServicesDep
) -> Response:
    done, refused = attempt(session, lambda: request_drain(session, name))
    if done is None:
        return _confirm(request, account, session, name, "drain", refused)
    told = f"Draining {name}: its applications start elsewhere, then end here."
    return tell(see(f"{MACHINES}/{name}"), services, told)


@router.post(MACHINES + "/{name}/activate", dependencies=[OwnForm])
def activate(name: str, _: PlatformAdminAccount, session: WriteSession, services: ServicesDep) -> Response:
    request_activate(session, name)
    return tell(see(f"{MACHINES}/{name}"), services, f"{name} takes applications again.")


@router.post(MACHINES + "/{name}/remove", dependencies=[OwnForm])
def remove(
    request: Request,
    name: str,
    account: PlatformAdminAccount,
    session: WriteSession,
    services: ServicesDep,
    confirm: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    def typed_and_removed() -> Node:
        if confirm.strip() != name:
            problem = [FieldError("confirm", f"Type {name} to remove it.")]
            raise Invalid("Nothing was removed: the name was not typed as it is.", errors=problem)
        return request_removal(session, name)

    done, refused = attempt(session, typed_and_removed)
    if done is None:
        return _confirm(request, account, session, name, "remove", refused)
    told = f"{name} is taken out of the cluster. On the machine itself: skypanel cluster leave"
    if done.availability == Availability.FAILED:
        told = f"{name} is forgotten."
    return tell(see(MACHINES), services, told)


def _confirm(
    request: Request, account: Account, session: Session, name: str, verb: str, refused: Refused | None = None
) -> Response:
    """What would happen, or why it cannot. Raises NotFound."""
    found, refused = node_use(session, name), refused or Refused()
    others = [other for other in list_nodes(session) if other.takes_replicas and other.node.name != name]
    hindered = (drain_problem if verb == "drain" else removal_problem)(session, found.node)
    return page(
        request,
        f"machines/{verb}.html",
        status=refused.status,
        account=account,
        problem=refused.problem,
        refused=refused,
        found=found,
        hindered=hindered,
        residents=residents(session, name),
        others=others,
        free_cpu_millis=sum(max(0, other.node.cpu_millis - other.cpu_millis) for other in others),
        free_memory_mb=sum(max(0, other.node.memory_mb - other.memory_mb) for other in others),
    )
