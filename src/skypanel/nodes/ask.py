"""Requests on machines: drain, activate, remove. What carries them out is `move`."""

from __future__ import annotations

import sqlalchemy as sa

from skypanel.db import Session
from skypanel.errors import Conflict, NotFound
from skypanel.jobs import enqueue, request_cancel
from skypanel.nodes.models import Availability, Node


def get_node(session: Session, name: str) -> Node:
    """Raises NotFound."""
    node = session.get(Node, name, with_for_update=True)
    if node is None:
        raise NotFound(f"There is no machine {name!r}.", code="node_not_found")
    return node


def request_drain(session: Session, name: str) -> Node:
    """Its applications are started elsewhere, then end there. Raises NotFound; Conflict `only_node`."""
    node = get_node(session, name)
    others = sa.select(sa.func.count()).where(
        Node.name != name, Node.availability == Availability.ACTIVE, Node.lost_at.is_(None)
    )
    if not session.scalar(others):
        raise Conflict(f"No other machine could take what runs on {name}.", code="only_node")
    if node.availability == Availability.ACTIVE:
        node.availability, node.note = Availability.DRAINING, None
        _go(session, node, "node.drain")
    return node


def request_activate(session: Session, name: str) -> Node:
    """It takes applications again; a drain that is under way ends. Raises NotFound."""
    node = get_node(session, name)
    if node.availability != Availability.ACTIVE:
        if node.job_id is not None:
            request_cancel(session, node.job_id)
        node.availability, node.note = Availability.ACTIVE, None
        _go(session, node, "node.activate")
    return node


def request_removal(session: Session, name: str) -> Node:
    """Raises NotFound; Conflict `node_in_use`, `managers_majority`."""
    node = get_node(session, name)
    if node.lost_at is None and node.availability != Availability.DRAINED:
        raise Conflict(f"{name} is in use. Drain it first.", code="node_in_use")
    managers = list(session.scalars(sa.select(Node).where(Node.manager)))
    left = [other for other in managers if other.name != name]
    if node.manager and sum(other.lost_at is None for other in left) * 2 <= len(left):
        raise Conflict(
            f"Without {name} the managers that are left have no majority: nothing could be changed any more. "
            "Let another machine join as a manager first.",
            code="managers_majority",
        )
    _go(session, node, "node.remove")
    return node


def _go(session: Session, node: Node, kind: str) -> None:
    node.job_id = enqueue(session, kind=kind, queue="nodes", key=f"node:{node.name}", args={"name": node.name})
