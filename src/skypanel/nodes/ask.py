"""Requests on machines: drain, activate, remove. What carries them out is `move`."""

from __future__ import annotations

from datetime import datetime

import orjson
import sqlalchemy as sa

from skypanel.apps.vault import Encrypts
from skypanel.db import Session
from skypanel.drivers.machines import Newcomer
from skypanel.errors import Conflict, NotFound
from skypanel.jobs import enqueue, request_cancel
from skypanel.nodes.models import Availability, Node


def get_node(session: Session, name: str, *, change: bool = False) -> Node:
    """Nobody else changes it until the transaction ends, for a `change`. Raises NotFound."""
    node = session.get(Node, name, with_for_update=change or None)
    if node is None:
        raise NotFound(f"There is no machine {name!r}.", code="node_not_found")
    return node


def drain_problem(session: Session, node: Node) -> Conflict | None:
    """Why it cannot be drained now: `only_node`."""
    others = sa.select(sa.func.count()).where(
        Node.name != node.name, Node.availability == Availability.ACTIVE, Node.lost_at.is_(None)
    )
    if session.scalar(others):
        return None
    return Conflict(f"No other machine could take what runs on {node.name}.", code="only_node")


def removal_problem(session: Session, node: Node) -> Conflict | None:
    """Why it cannot be removed now: `node_in_use`, `managers_majority`."""
    if node.availability == Availability.FAILED:
        return None
    if node.lost_at is None and node.availability != Availability.DRAINED:
        return Conflict(f"{node.name} is in use. Drain it first.", code="node_in_use")
    members = Node.availability.not_in((Availability.JOINING, Availability.FAILED))
    left = list(session.scalars(sa.select(Node).where(Node.manager, members, Node.name != node.name)))
    if node.manager and sum(other.lost_at is None for other in left) * 2 <= len(left):
        return Conflict(
            f"Without {node.name} the managers that are left have no majority: nothing could be changed any more. "
            "Let another machine join as a manager first.",
            code="managers_majority",
        )
    return None


def request_drain(session: Session, name: str) -> Node:
    """Its applications are started elsewhere, then end there. Raises NotFound and the `drain_problem`."""
    node = get_node(session, name, change=True)
    if (problem := drain_problem(session, node)) is not None:
        raise problem
    if node.availability == Availability.ACTIVE:
        node.availability, node.note = Availability.DRAINING, None
        _go(session, node, "node.drain")
    return node


def request_join(session: Session, newcomer: Newcomer, *, vault: Encrypts, now: datetime) -> Node:
    """How to get there is kept encrypted, and forgotten when it has been used. Raises Conflict `node_exists`."""
    node = session.get(Node, newcomer.host, with_for_update=True)
    if node is not None and node.availability != Availability.FAILED:
        raise Conflict(f"{newcomer.host} is a machine of the cluster, or joins already.", code="node_exists")
    if node is None:
        node = Node(name=newcomer.host, cpu_millis=0, memory_mb=0, created_at=now, seen_at=now)
        session.add(node)
    node.address, node.manager, node.seen_at = newcomer.host[:60], newcomer.manager, now
    node.availability, node.note = Availability.JOINING, None
    node.sealed = vault.encrypt(orjson.dumps(newcomer.opened())).decode()
    _go(session, node, "node.add", attempts=1)
    return node


def request_activate(session: Session, name: str) -> Node:
    """It takes applications again; a drain that is under way ends. Raises NotFound."""
    node = get_node(session, name, change=True)
    if node.availability in (Availability.DRAINING, Availability.DRAINED):
        if node.job_id is not None:
            request_cancel(session, node.job_id)
        node.availability, node.note = Availability.ACTIVE, None
        _go(session, node, "node.activate")
    return node


def request_removal(session: Session, name: str) -> Node:
    """Raises NotFound and the `removal_problem`."""
    node = get_node(session, name, change=True)
    if (problem := removal_problem(session, node)) is not None:
        raise problem
    if node.availability == Availability.FAILED:
        session.delete(node)
    else:
        _go(session, node, "node.remove")
    return node


def _go(session: Session, node: Node, kind: str, *, attempts: int = 5) -> None:
    node.job_id = enqueue(
        session, kind=kind, queue="nodes", key=f"node:{node.name}", args={"name": node.name}, max_attempts=attempts
    )
