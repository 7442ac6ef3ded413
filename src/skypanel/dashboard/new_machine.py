"""A machine that is to join: by a command there, or by SSH from here. For platform admins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from skypanel.dashboard.account import Account, PlatformAdminAccount
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.machines import MACHINES
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.drivers.machines import Newcomer
from skypanel.errors import Conflict, FieldError, Invalid
from skypanel.http.context import ServicesDep
from skypanel.http.new_node import NewNodeRequest
from skypanel.http.session import WriteSession
from skypanel.nodes.ask import request_join
from skypanel.nodes.models import Node

router = page_router()

NEW = "/admin/new-machine"  # beside the machines, not among them: one may be called "new"
Line = Annotated[str, Form(max_length=2000)]
EMPTY = {"host": "", "port": "22", "user": "root", "host_key": "", "role": "worker", "ingress": False}
WRONG = {
    "host": "An address or a host name, such as 192.0.2.21.",
    "port": "1 to 65535.",
    "user": "A user's name on the machine, such as root.",
    "private_key": "Paste the private key, at most 20,000 characters.",
    "host_key": "One line such as ssh-ed25519 AAAA…, without the machine's name.",
    "role": "worker or manager.",
}


@router.get(NEW)
def show_new_machine(
    request: Request,
    account: PlatformAdminAccount,
    services: ServicesDep,
    host: Annotated[str, Query(max_length=120)] = "",
) -> Response:
    if not services.clustered:
        return see(MACHINES)
    return _form(request, account, EMPTY | {"host": host}, Refused())


@router.post(NEW, dependencies=[OwnForm])
def add_machine(
    request: Request,
    account: PlatformAdminAccount,
    session: WriteSession,
    services: ServicesDep,
    host: Line = "",
    port: Line = "22",
    user: Line = "root",
    private_key: Annotated[str, Form(max_length=100_000)] = "",
    host_key: Line = "",
    role: Line = "worker",
    ingress: Annotated[bool, Form()] = False,
) -> Response:
    """The key is never shown again, not even when the form is refused."""
    given = {"host": host, "port": port, "user": user, "host_key": host_key, "role": role, "ingress": ingress}
    asked = {**given, "host": host.strip(), "host_key": host_key.strip() or None, "private_key": private_key}

    def join() -> Node:
        if not services.clustered:
            raise Conflict("A machine can only join a cluster; skypanel cluster adopt makes this one its first.")
        return request_join(session, _newcomer(asked), vault=services.vault, now=services.clock.now())

    node, refused = attempt(session, join)
    if node is None:
        return _form(request, account, given, refused)
    told = f"{node.name} joins. It is listed by its host name when it has, and with the reason when it has not."
    return tell(see(MACHINES), services, told)


def _newcomer(asked: Mapping[str, object]) -> Newcomer:
    """By the rules of the API's body. Raises Invalid."""
    try:
        return NewNodeRequest.model_validate(asked).newcomer()
    except ValidationError as error:
        wrong = {str(item["loc"][0]) for item in error.errors(include_input=False) if item["loc"]}
    # Outside of the handler: the cause would hold the key.
    problems = [FieldError(name, sentence) for name, sentence in WRONG.items() if name in wrong]
    raise Invalid("Nothing was added. Mend what is marked, and paste the key again.", errors=problems)


def _form(request: Request, account: Account, given: Mapping[str, object], refused: Refused) -> Response:
    return page(
        request,
        "machines/new.html",
        status=refused.status,
        account=account,
        given=given,
        refused=refused,
        problem=refused.problem,
    )
