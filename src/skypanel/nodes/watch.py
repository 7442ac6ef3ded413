"""Heartbeats: rows of machines as the cluster reports them, and a loud word when one is lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.db import Database, Session
from skypanel.drivers.machines import Machine, Machines
from skypanel.kit.clock import Clock
from skypanel.nodes.models import Availability, Node

log = logging.getLogger(__name__)
BEAT = timedelta(seconds=5)  # a row is not written more often only to say the same


@dataclass(frozen=True)
class NodeWatch:
    database: Database
    clock: Clock
    machines: Machines

    def look(self) -> None:
        """Once. Raises MachinesFailed."""
        found = self.machines.list()
        with self.database.transaction() as session:
            note(session, found, self.clock.now())

    def wait(self) -> None:
        self.machines.wait(self.machines.beat_s)


def note(session: Session, found: Sequence[Machine], now: datetime) -> None:
    """Rows as the machines are. One that is no part of the cluster any more has none."""
    known = {node.name: node for node in session.scalars(sa.select(Node).with_for_update())}
    for machine in found:
        node = known.pop(machine.name, None)
        if node is None:
            node = Node(name=machine.name, created_at=now, seen_at=now)
            session.add(node)
        node.address, node.manager = machine.address, machine.manager
        node.cpu_millis, node.memory_mb = machine.cpu_millis, machine.memory_mb
        if machine.ready:
            if node.lost_at is not None:
                log.warning("the machine %s is back after %s", node.name, now - node.lost_at)
                node.lost_at = None
            if now - node.seen_at > BEAT:
                node.seen_at = now
        elif node.lost_at is None:
            node.lost_at = now
            log.error("the machine %s is lost; its replicas are started elsewhere", node.name)
    for node in known.values():
        if node.availability not in (Availability.JOINING, Availability.FAILED):
            session.delete(node)
