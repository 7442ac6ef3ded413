"""Machines with what is used of them, and what the operator should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.nodes.models import Availability, Node
from skypanel.routing.models import EdgeNode


@dataclass(frozen=True)
class NodeUse:
    node: Node
    replicas: int
    cpu_millis: int  # of the limits of its replicas
    memory_mb: int
    ingress: bool

    @property
    def alert(self) -> str | None:
        node = self.node
        if node.lost_at is not None:
            return f"{node.name} is lost since {node.lost_at:%Y-%m-%d %H:%M} UTC; its replicas are started elsewhere."
        if node.availability == Availability.FAILED:
            return f"{node.name} did not join: {node.note}"
        if node.availability == Availability.DRAINING and node.note:
            return f"{node.name} is not drained yet: {node.note}."
        return None


def list_nodes(session: Session) -> Sequence[NodeUse]:
    """By name."""
    here = Replica.state.not_in((ReplicaState.GONE, ReplicaState.BACKOFF))
    used = {
        name: (int(count), int(cpu or 0), int(memory or 0))
        for name, count, cpu, memory in session.execute(
            sa.select(Replica.node, sa.func.count(), sa.func.sum(App.cpu_millis), sa.func.sum(App.memory_mb))
            .join(App, App.id == Replica.app_id).where(here).group_by(Replica.node)
        )
    }  # fmt: skip
    edges = set(session.scalars(sa.select(EdgeNode.name)))
    nodes = session.scalars(sa.select(Node).order_by(Node.name))
    return [NodeUse(node, *used.get(node.name, (0, 0, 0)), ingress=node.name in edges) for node in nodes]
