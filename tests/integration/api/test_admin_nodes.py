"""Machines: heartbeats, and what the operator may ask of them."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from skypanel.deployments.models import Replica
from skypanel.drivers.machines import Machine, MachinesFailed
from skypanel.jobs import Job, JobContext, leases
from skypanel.jobs.execution import execute
from skypanel.jobs.leases import Owner
from skypanel.nodes import move
from skypanel.nodes.models import Node
from skypanel.nodes.watch import note
from skypanel.worker.handlers import handlers

M1, M2, M3 = (Machine(f"m{n}", f"192.0.2.1{n}", True, True, 4000, 8192) for n in (1, 2, 3))
W1 = Machine("w1", "192.0.2.21", False, True, 8000, 16384)
NODES = "/api/admin/paas/nodes"


def lost(machine: Machine) -> Machine:
    return Machine(machine.name, machine.address, machine.manager, False, machine.cpu_millis, machine.memory_mb)


def look(api, *machines: Machine) -> None:
    with api.database.transaction() as session:
        note(session, machines, api.clock.now())


def listed(admin) -> dict[str, dict]:
    return {node["name"]: node for node in admin.get(NODES).json()["items"]}


def jobs(api) -> list[str]:
    with api.database.reading() as session:
        return list(session.scalars(sa.select(Job.kind).where(Job.queue == "nodes").order_by(Job.id)))


def test_machines_are_listed_with_what_they_have(either_api):
    admin = either_api.admin()
    look(either_api, M1, W1)
    found = listed(admin)
    assert list(found) == ["m1", "w1"]
    assert (found["m1"]["role"], found["w1"]["role"]) == ("manager", "worker")
    assert found["w1"] | {"cpu_millis": 8000, "memory_mb": 16384, "replicas": 0, "status": "ready"} == found["w1"]
    assert found["w1"]["alert"] is None


def test_a_lost_machine_is_said_and_forgotten_when_it_is_back(either_api):
    admin = either_api.admin()
    look(either_api, M1, W1)
    seen = listed(admin)["w1"]["seen_at"]
    either_api.clock.advance(timedelta(minutes=1))
    look(either_api, M1, lost(W1))
    either_api.clock.advance(timedelta(minutes=1))
    look(either_api, M1, lost(W1))
    found = listed(admin)["w1"]
    assert found["status"] == "lost"
    assert found["seen_at"] == seen
    assert "w1 is lost since" in found["alert"]
    look(either_api, M1, W1)
    assert listed(admin)["w1"]["lost_at"] is None
    look(either_api, M1)
    assert list(listed(admin)) == ["m1"]


def test_a_drain_is_asked_for_once_and_taken_back(either_api):
    admin = either_api.admin()
    look(either_api, M1, W1)
    for _ in range(2):
        assert admin.post(f"{NODES}/w1/drain").json()["node"]["availability"] == "draining"
    assert jobs(either_api) == ["node.drain"]
    assert admin.post(f"{NODES}/w1/activate").json()["node"]["availability"] == "active"
    assert jobs(either_api) == ["node.drain", "node.activate"]


def test_the_last_machine_that_takes_applications_cannot_be_drained(either_api):
    admin = either_api.admin()
    look(either_api, M1, lost(W1))
    answer = admin.post(f"{NODES}/m1/drain")
    assert (answer.status_code, answer.json()["code"]) == (409, "only_node")
    assert admin.post(f"{NODES}/nowhere/drain").status_code == 404


def test_only_what_is_drained_or_lost_is_removed_and_never_the_managers_majority(either_api):
    admin = either_api.admin()
    look(either_api, M1, M2, M3, W1)
    assert admin.delete(f"{NODES}/w1").json()["code"] == "node_in_use"
    look(either_api, M1, M2, lost(M3), lost(W1))
    assert admin.delete(f"{NODES}/w1").status_code == 202
    assert admin.delete(f"{NODES}/m3").status_code == 202
    look(either_api, M1, lost(M2), lost(M3))
    answer = admin.delete(f"{NODES}/m3")
    assert (answer.status_code, answer.json()["code"]) == (409, "managers_majority")
    assert jobs(either_api) == ["node.remove", "node.remove"]


def test_a_manager_that_has_not_joined_yet_has_no_vote(either_api):
    admin = either_api.admin()
    look(either_api, M1, lost(M2), lost(M3))
    admin.post(NODES, {"host": "192.0.2.99", "private_key": "x", "role": "manager"})
    assert admin.delete(f"{NODES}/m3").json()["code"] == "managers_majority"


def test_a_machine_is_added_once_and_its_key_is_nowhere_in_the_open(either_api):
    admin = either_api.admin()
    look(either_api, M1)
    asked = {"host": "192.0.2.99", "private_key": "-----BEGIN sesame-----"}
    assert admin.post(NODES, asked).json()["node"]["availability"] == "joining"
    assert admin.post(NODES, asked).json()["code"] == "node_exists"
    with either_api.database.reading() as session:
        (job,) = session.scalars(sa.select(Job).where(Job.kind == "node.add"))
        assert job.args == {"name": "192.0.2.99"}
        assert "sesame" not in str(session.get_one(Node, "192.0.2.99").sealed)
    look(either_api, M1)
    assert "192.0.2.99" in listed(admin), "it waits, though the cluster does not know it yet"


@pytest.mark.parametrize("says", [None, "Connection refused"])
def test_the_key_is_forgotten_when_it_has_been_used(either_api, says):
    admin = either_api.admin()
    admin.post(NODES, {"host": "192.0.2.99", "private_key": "sesame"})
    used = []

    def join(newcomer):
        used.append(newcomer.private_key.reveal())
        if says is not None:
            raise MachinesFailed(says)

    platform = SimpleNamespace(database=either_api.database, vault=either_api.services.vault)
    for _ in range(2):
        move.add(platform, SimpleNamespace(add=join), name="192.0.2.99")
    assert used == ["sesame"]
    with either_api.database.reading() as session:
        node = session.get(Node, "192.0.2.99")
    assert (node and (node.availability, node.note, node.sealed)) == (says and ("failed", says, None))


def test_the_key_is_forgotten_when_the_platform_was_interrupted(either_api):
    """Joining is tried once: nobody knows how far it got. Who takes the job over only says so."""
    admin = either_api.admin()
    admin.post(NODES, {"host": "192.0.2.99", "private_key": "sesame"})
    platform: Any = SimpleNamespace(database=either_api.database, vault=either_api.services.vault)
    nobody: Any = SimpleNamespace()  # neither machines nor anything else is asked again
    kind = handlers(platform, nobody, nobody, nobody, after=lambda: None)["node.add"]

    def take(owner: Owner) -> JobContext:
        with either_api.database.transaction() as session:
            job = leases.claim(session, owner=owner, queues=["nodes"], kinds=["node.add"], held=[])
        assert job is not None
        return JobContext(database=either_api.database, job=job, owner=owner)

    take(Owner("w1", "killed while the machine joins", lease_s=-1))
    execute(take(Owner("w2", "alive", lease_s=60)), kind)
    with either_api.database.reading() as session:
        node = session.get_one(Node, "192.0.2.99")
        assert (node.availability, node.sealed) == ("failed", None)
        assert [job.state for job in session.scalars(sa.select(Job))] == ["failed"]
    assert "interrupted" in listed(admin)["192.0.2.99"]["alert"]


def test_a_machine_that_did_not_join_says_why_and_is_tried_again_or_forgotten(either_api):
    admin = either_api.admin()
    asked = {"host": "192.0.2.99", "private_key": "x"}
    admin.post(NODES, asked)
    with either_api.database.transaction() as session:
        node = session.get_one(Node, "192.0.2.99")
        node.availability, node.note = "failed", "Connection refused"
    assert listed(admin)["192.0.2.99"]["alert"] == "192.0.2.99 did not join: Connection refused"
    assert admin.post(NODES, asked).json()["node"]["availability"] == "joining"
    with either_api.database.transaction() as session:
        session.get_one(Node, "192.0.2.99").availability = "failed"
    assert admin.delete(f"{NODES}/192.0.2.99").status_code == 202
    assert listed(admin) == {}


def test_hosts_users_and_keys_are_checked(either_api):
    admin = either_api.admin()
    for wrong in (
        {"host": "-oProxyCommand=x"}, {"host": "a b"}, {"user": "-x"}, {"user": "root;id"}, {"port": 0},
        {"host_key": "ssh-ed25519 AAAA\n* ssh-rsa BBBB"}, {"role": "boss"}, {"private_key": ""},
    ):  # fmt: skip
        answer = admin.post(NODES, {"host": "192.0.2.99", "private_key": "x"} | wrong)
        assert answer.status_code == 422, wrong


def test_nobody_else_sees_or_touches_machines(either_api):
    ada = either_api.register("ada@example.com", "Engines")
    look(either_api, M1, W1)
    for answer in (ada.get(NODES), ada.get(f"{NODES}/m1"), ada.post(f"{NODES}/m1/drain"), ada.delete(f"{NODES}/m1")):
        assert answer.status_code == 403
    with either_api.database.reading() as session:
        assert session.get_one(Node, "m1").availability == "active"
        assert session.scalar(sa.select(sa.func.count()).select_from(Replica)) == 0
