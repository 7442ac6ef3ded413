"""Machines, for the platform's operator."""

from __future__ import annotations

from pydantic import Field

from skypanel.http.context import ServicesDep
from skypanel.http.new_node import NewNodeRequest
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, ResponseBody, Timestamp
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import PlatformAdmin
from skypanel.nodes.ask import request_activate, request_drain, request_join, request_removal
from skypanel.nodes.list import NodeUse, list_nodes, node_use

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
    request_join(session, body.newcomer(), vault=services.vault, now=services.clock.now())
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
    session.flush()
    return OneAdminNode(node=_node(node_use(session, name)))


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
