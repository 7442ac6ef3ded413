"""Machines with what is used of them, what runs there, and what the operator should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.nodes.ask import get_node
from skypanel.nodes.models import Availability, Node
from skypanel.orgs.models import Organization
from skypanel.routing.models import EdgeNode

_THERE = Replica.state.not_in((ReplicaState.GONE, ReplicaState.BACKOFF))


@dataclass(frozen=True)
class NodeUse:
    node: Node
    replicas: int
    cpu_millis: int  # of the limits of its replicas
    memory_mb: int
    ingress: bool

    @property
    def status(self) -> str:
        """The one word for it: `lost` before anything that was asked of it."""
        if self.node.lost_at is not None:
            return "lost"
        return "ready" if self.node.availability == Availability.ACTIVE else str(self.node.availability)

    @property
    def takes_replicas(self) -> bool:
        return self.status == "ready"

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


@dataclass(frozen=True)
class Resident:
    """An application that has replicas on a machine."""

    app: App
    organization: Organization
    replicas: Sequence[Replica]


def list_nodes(session: Session) -> Sequence[NodeUse]:
    """By name."""
    used = {
        name: (int(count), int(cpu or 0), int(memory or 0))
        for name, count, cpu, memory in session.execute(
            sa.select(Replica.node, sa.func.count(), sa.func.sum(App.cpu_millis), sa.func.sum(App.memory_mb))
            .join(App, App.id == Replica.app_id).where(_THERE).group_by(Replica.node)
        )
    }  # fmt: skip
    edges = set(session.scalars(sa.select(EdgeNode.name)))
    nodes = session.scalars(sa.select(Node).order_by(Node.name))
    return [NodeUse(node, *used.get(node.name, (0, 0, 0)), ingress=node.name in edges) for node in nodes]


def node_use(session: Session, name: str) -> NodeUse:
    """Raises NotFound."""
    get_node(session, name)
    return next(found for found in list_nodes(session) if found.node.name == name)


def count_lost(session: Session) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(Node).where(Node.lost_at.is_not(None))) or 0


def residents(session: Session, name: str) -> Sequence[Resident]:
    """What runs on a machine, of every organization: by organization, application, process type and position."""
    found = session.execute(
        sa.select(App, Organization, Replica)
        .join(Replica, Replica.app_id == App.id).join(Organization, Organization.id == App.organization_id)
        .where(Replica.node == name, _THERE)
        .order_by(Organization.name, App.name, App.id, Replica.process_type, Replica.position, Replica.id)
    )  # fmt: skip
    return [
        Resident(app, organization, [replica for *_, replica in rows])
        for (app, organization), rows in groupby(found, key=lambda row: (row[0], row[1]))
    ]
