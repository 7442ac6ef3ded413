"""Machines, for the platform's operator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skypanel.drivers.machines import Newcomer
from skypanel.http.context import ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, RequestBody, ResponseBody, Timestamp
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import PlatformAdmin
from skypanel.kit.secret import Secret
from skypanel.nodes.ask import get_node, request_activate, request_drain, request_join, request_removal
from skypanel.nodes.list import NodeUse, list_nodes

router = api_router(prefix="/api/admin/paas/nodes", tag="admin")


class AdminNodeBody(ResponseBody):
    name: str = Field(description="Its host name", examples=["m1"])
    address: str = Field(examples=["192.0.2.11"])
    role: str = Field(description="`manager` or `worker`")
    ingress: bool = Field(description="It takes visitors' requests")
    status: str = Field(description="`ready` or `lost`")
    availability: str = Field(description="`active`, `draining`, `drained`, `joining` or `failed`")
    cpu_millis: int = Field(description="1000 is one core")
    memory_mb: int
    used_cpu_millis: int = Field(description="Limits of the replicas there, taken together")
    used_memory_mb: int
    replicas: int
    seen_at: Timestamp = Field(description="Last heartbeat")
    lost_at: Timestamp | None
    alert: str | None = Field(description="One sentence when something is wrong")


class NewNodeRequest(RequestBody):
    """A machine with the Docker Engine that SSH reaches from the managers."""

    host: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,118}[A-Za-z0-9])?$", examples=["192.0.2.21"])
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="root, or one with sudo")
    private_key: str = Field(max_length=20_000, description="OpenSSH format, without a passphrase; forgotten after use")
    host_key: str | None = Field(
        default=None, max_length=2_000, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$",
        description="As `ssh-keyscan` shows it without the name; left out: what the machine shows the first time",
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"],
    )  # fmt: skip
    role: Literal["worker", "manager"] = "worker"
    ingress: bool = Field(default=False, description="It takes visitors' requests")


class OneAdminNode(ResponseBody):
    node: AdminNodeBody


@router.get("", responses=problems(403))
def list_admin_nodes(session: ReadSession, _: PlatformAdmin) -> PageBody[AdminNodeBody]:
    """Every machine, by name; all on one page."""
    return PageBody(items=[_node(each) for each in list_nodes(session)])


@router.post("", status_code=202, responses=problems(403, 409))
def add_admin_node(
    body: NewNodeRequest, session: WriteSession, _: PlatformAdmin, services: ServicesDep
) -> OneAdminNode:
    """Lets a machine join through SSH. It is listed as `joining` by its address, then by its host name; when it did
    not join as `failed`, with the reason."""
    newcomer = Newcomer(
        host=body.host, port=body.port, user=body.user, private_key=Secret(body.private_key), host_key=body.host_key,
        manager=body.role == "manager", ingress=body.ingress,
    )  # fmt: skip
    request_join(session, newcomer, vault=services.vault, now=services.clock.now())
    return _one(session, body.host)


@router.get("/{name}", responses=problems(403, 404))
def get_admin_node(name: str, session: ReadSession, _: PlatformAdmin) -> OneAdminNode:
    """One machine."""
    return _one(session, name)


@router.post("/{name}/drain", status_code=202, responses=problems(403, 404, 409))
def drain_admin_node(name: str, session: WriteSession, _: PlatformAdmin) -> OneAdminNode:
    """Starts its applications elsewhere, then ends them there. It is `drained` when that is done."""
    request_drain(session, name)
    return _one(session, name)


@router.post("/{name}/activate", status_code=202, responses=problems(403, 404))
def activate_admin_node(name: str, session: WriteSession, _: PlatformAdmin) -> OneAdminNode:
    """It takes applications again."""
    request_activate(session, name)
    return _one(session, name)


@router.delete("/{name}", status_code=202, responses=problems(403, 404, 409))
def remove_admin_node(name: str, session: WriteSession, _: PlatformAdmin) -> OneAdminNode:
    """Takes a machine that is drained or lost out of the cluster."""
    found = _one(session, name)
    request_removal(session, name)
    return found


def _one(session: ReadSession, name: str) -> OneAdminNode:
    get_node(session, name)
    session.flush()
    return OneAdminNode(node=next(_node(each) for each in list_nodes(session) if each.node.name == name))


def _node(found: NodeUse) -> AdminNodeBody:
    node = found.node
    return AdminNodeBody(
        name=node.name,
        address=node.address,
        role="manager" if node.manager else "worker",
        ingress=found.ingress,
        status="ready" if node.lost_at is None else "lost",
        availability=node.availability,
        cpu_millis=node.cpu_millis,
        memory_mb=node.memory_mb,
        used_cpu_millis=found.cpu_millis,
        used_memory_mb=found.memory_mb,
        replicas=found.replicas,
        seen_at=node.seen_at,
        lost_at=node.lost_at,
        alert=found.alert,
    )
