"""A cluster in the world of the applications' tests: machines in every state, replicas on them, a platform admin."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from apps_world import World
from sqlalchemy import select

from skypanel.accounts.models import User
from skypanel.deployments.models import Replica
from skypanel.drivers.machines import Machine
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret
from skypanel.nodes.models import Availability, Node
from skypanel.nodes.watch import note
from skypanel.orgs.models import Membership
from skypanel.routing.models import EdgeNode

M1, M2, M3 = (Machine(f"m{n}", f"192.0.2.1{n}", True, True, 4000, 8192) for n in (1, 2, 3))
W1, W2 = (Machine(f"w{n}", f"192.0.2.2{n}", False, True, 8000, 15_990) for n in (1, 2))
ADMIN, PASSWORD = "root@example.org", "a long password of root"


def make_admin(world: World) -> None:
    """A member of acme who runs the platform."""
    password_hash = world.services.auth.passwords.hash(PASSWORD)
    with world.database.transaction() as session:
        admin = User(
            id=new_id(), email=ADMIN, name="Root", password_hash=password_hash, is_admin=True, created_at=world.now
        )
        session.add(admin)
        session.flush()
        acme = world.viewer().organization_id
        session.add(Membership(organization_id=acme, user_id=admin.id, role="owner", created_at=world.now))


def make_cluster(world: World) -> None:
    world.services = replace(world.services, edge_token=Secret("edge"))


def look(world: World, *machines: Machine) -> None:
    """As if the worker had looked and found them."""
    with world.database.transaction() as session:
        note(session, machines, world.clock.now())


def lost(machine: Machine) -> Machine:
    return replace(machine, ready=False)


def asked(world: World, name: str, availability: Availability, said: str | None = None) -> None:
    with world.database.transaction() as session:
        node = session.get(Node, name)
        if node is None:
            node = Node(name=name, address=name, manager=False, cpu_millis=0, memory_mb=0, created_at=world.now,
                        seen_at=world.now)  # fmt: skip
            session.add(node)
        node.availability, node.note = availability, said


def takes_visitors(world: World, name: str) -> None:
    with world.database.transaction() as session:
        session.add(EdgeNode(name=name, address="10.0.0.2", probe_port=1, http_port=80, loaded=1, seen_at=world.now))


def place(world: World, app_id: str, node: str, *, count: int = 1) -> None:
    """Healthy replicas of its release, on that machine alone."""
    with world.database.transaction() as session:
        first = session.scalars(select(Replica).where(Replica.app_id == app_id)).one()
        first.node = node
        values = {column.key: getattr(first, column.key) for column in Replica.__table__.columns}
        for position in range(2, count + 1):
            session.add(Replica(**{**values, "id": f"r-{new_id()}", "position": position}))


def every_state(world: World) -> None:
    """One machine in each state there is, and something that runs."""
    make_cluster(world)
    look(world, M1, M2, M3, W1, W2)
    world.clock.advance(timedelta(minutes=4))
    look(world, M1, M2, lost(M3), W1, W2)
    takes_visitors(world, "m1")
    asked(world, "m2", Availability.DRAINED)
    asked(world, "w2", Availability.DRAINING, "1 of its applications could not be moved: blog")
    asked(world, "192.0.2.98", Availability.JOINING)
    asked(world, "192.0.2.99", Availability.FAILED, "192.0.2.99 cannot be reached by SSH: Connection refused")
    for name, organization, node, count in (
        ("Shop", "acme", "w1", 3), ("Blog", "acme", "w2", 1), ("Theirs", "rival", "w1", 2), ("Wiki", "acme", "m1", 1)
    ):  # fmt: skip
        app_id = world.app(name, organization=organization, plan="pro")
        world.release(app_id)
        place(world, app_id, node, count=count)
