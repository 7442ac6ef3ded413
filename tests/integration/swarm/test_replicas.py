"""What only the swarm does by itself: replicas as tasks of one service."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from containers import House, eventually
from engines import STACK, Node

from skypanel.drivers.runtime.port import (
    Container,
    ContainerSpec,
    ContainerStatus,
    Group,
    HealthCheck,
    Limits,
    RuntimeFailed,
)
from skypanel.drivers.runtime.swarm import SwarmRuntime
from skypanel.drivers.runtime.swarm.api import Service
from skypanel.drivers.runtime.swarm.claims import Claim
from skypanel.drivers.runtime.swarm.scripts import HOLD_S
from skypanel.manage.cluster.disk_keeper import DiskKeeper
from skypanel.manage.doctor import engine

pytestmark = pytest.mark.root

SLOW = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(float(self.path[1:] or 0)); self.send_response(200); self.end_headers(); self.wfile.write(b"whole")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def replicas(house: House, count: int, **changes: Any) -> list[ContainerSpec]:
    return [
        house.spec("server", id=f"web-{n}", port=True, name=f"web.{n}", group=Group("shop-v1", n, count), **changes)
        for n in range(1, count + 1)
    ]


def running(runtime: SwarmRuntime, specs: list[ContainerSpec]) -> dict[str, Container]:
    found = {spec.id: runtime.get(spec.id) for spec in specs}
    return {i: c for i, c in found.items() if c is not None and c.status is ContainerStatus.RUNNING}


def answers(container: Container, path: str = "/") -> bytes:
    with socket.create_connection((str(container.address), container.port or 0), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        received = b""
        while data := connection.recv(65536):
            received += data
        return received


def comes_up(container: Container) -> None:
    def look() -> bool:
        try:
            return answers(container).startswith(b"HTTP/1.0 200")
        except OSError:
            return False

    eventually(look)


def test_replicas_of_one_process_type_are_one_service(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    specs = replicas(house, 3)
    threads = [threading.Thread(target=runtime.start, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = running(runtime, specs)
    assert len(found) == 3
    assert len({container.address for container in found.values()}) == 3
    services = runtime._api.services()
    assert [service.replicas for service in services] == [3]
    for container in found.values():
        comes_up(container)
        assert f'"DYNO": "{container.name}"'.encode() in answers(container)


def test_fewer_replicas_end_one_task_each_and_the_others_keep_theirs_or_take_over(house: House) -> None:
    """Swarm chooses whom to end. Whoever stays is reported with a task that lives, and as moved when it is another."""
    runtime: SwarmRuntime = house.made[0]
    specs = replicas(house, 4)
    for spec in specs:
        comes_up(runtime.start(spec))
    runtime.wait_for_exits(0.1)
    before = running(runtime, specs)
    for spec in specs[2:]:
        runtime.stop(spec.id, grace_s=5)
    after = running(runtime, specs)
    assert set(after) == {"web-1", "web-2"}
    for container in after.values():
        comes_up(container)
    moved = {i for i in after if after[i].address != before[i].address}
    assert set(runtime.wait_for_exits(2)) == moved | {"web-3", "web-4"}
    for spec in specs[2:]:
        ended = runtime.get(spec.id)
        assert ended is not None
        assert ended.finished_at is not None
        runtime.remove(spec.id)
    assert set(running(runtime, specs)) == {"web-1", "web-2"}


def test_several_that_leave_at_once_each_find_their_end(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    specs = replicas(house, 8)
    for spec in specs:
        comes_up(runtime.start(spec))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda spec: runtime.stop(spec.id, grace_s=5), specs[1:]))
    assert [service.replicas for service in runtime._api.services()] == [1]
    assert set(running(runtime, specs)) == {"web-1"}


def test_a_service_is_removed_when_the_swarm_has_forgotten_the_tasks_that_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine crashes when it forgets a task while the task's service is removed."""
    runtime: SwarmRuntime = house.made[0]
    specs = replicas(house, 3)
    for spec in specs:
        comes_up(runtime.start(spec))
    left: list[str] = []
    remove = runtime._api.remove

    def watched(service: Service) -> None:
        left.extend(task.wanted for task in runtime._api.tasks(service.id))
        remove(service)

    monkeypatch.setattr(runtime._api, "remove", watched)
    runtime.retire([spec.id for spec in specs])
    for spec in specs:
        runtime.stop(spec.id, grace_s=5)
        runtime.remove(spec.id)
    assert left == []
    assert runtime._api.services() == []


def test_a_dead_replica_is_started_again_by_the_swarm_and_claimed_by_its_successor(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    runtime.start(house.spec("failing", id="web-1", name="web.1", group=Group("shop-v1", 1, 1)))
    first = claim_of(runtime, "web-1").task
    assert list(runtime.wait_for_exits(20)) == ["web-1"]
    ended = runtime.get("web-1")
    assert ended is not None
    assert ended.exit_code == 7
    runtime.remove("web-1")
    again = house.spec("failing", id="web-1b", name="web.1", group=Group("shop-v1", 1, 1))
    assert runtime.start(again).id == "web-1b"
    assert claim_of(runtime, "web-1b").task != first
    assert [set(service.claims) for service in runtime._api.services()] == [{"web-1b"}]


def claim_of(runtime: SwarmRuntime, container_id: str) -> Claim:
    found = runtime._api.service_of(container_id)
    assert found is not None
    return found.claims[container_id]


def test_who_was_told_to_go_still_takes_requests_for_a_moment(house: House) -> None:
    """Routes may lead to it until every ingress node knows."""
    runtime: SwarmRuntime = house.made[0]
    specs = replicas(house, 3, drain_s=15, grace_s=1)
    before = [runtime.start(spec) for spec in specs]
    for container in before:
        comes_up(container)
    runtime.retire(["web-2", "web-3"])
    until = time.monotonic() + HOLD_S
    while time.monotonic() < until:
        for container in before:
            assert answers(container).startswith(b"HTTP/1.0 200")
        time.sleep(0.2)
    for spec in specs[1:]:
        runtime.stop(spec.id, grace_s=1)
        ended = runtime.get(spec.id)
        assert ended is not None
        assert ended.exit_code is not None


def test_an_open_request_ends_before_its_replica_does(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    command = ["/usr/bin/python3", "-u", "-c", SLOW]
    spec = house.spec("server", id="web-1", port=True, command=command, drain_s=20, grace_s=1)
    container = runtime.start(spec)
    comes_up(container)
    received: list[bytes] = []
    request = threading.Thread(target=lambda: received.append(answers(container, "/6")))
    request.start()
    time.sleep(0.5)
    runtime.stop(spec.id, grace_s=1)
    request.join(30)
    assert received
    assert received[0].endswith(b"whole")


def test_what_fits_no_machine_says_so(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    spec = house.spec("server", id="huge", limits=Limits(cpu_millis=8_000_000, memory_mb=128, disk_mb=16))
    runtime.start(spec)
    found = eventually(lambda: (c := runtime.get("huge")) and c.reason)
    assert "no machine of the cluster" in found


def test_an_image_that_is_nowhere_says_so(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    runtime.start(house.spec("server", id="lost", image="nowhere.invalid/app@sha256:" + "0" * 64))

    def look() -> str | None:
        container = runtime.get("lost")
        return container.reason if container is not None and container.status is ContainerStatus.EXITED else None

    assert "image" in eventually(look, timeout_s=60)


def test_a_replica_that_needs_too_much_memory_is_reported_so(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    hungry = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    runtime.start(house.spec("server", id="hungry", command=["/usr/bin/python3", "-c", hungry],
                             limits=Limits(cpu_millis=1000, memory_mb=64, disk_mb=16)))  # fmt: skip

    def look() -> Container | None:
        container = runtime.get("hungry")
        return container if container is not None and container.status is ContainerStatus.EXITED else None

    container = eventually(look, timeout_s=60)
    assert container.oom_killed


def test_a_replica_that_writes_more_than_its_disk_is_ended_and_says_so(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    filler = (
        "import time\nwith open('/var/tmp/big', 'wb') as f:\n  f.write(bytes({0} << 20)); f.flush(); time.sleep(600)"
    )
    for name, size in (("modest", 8), ("filler", 40)):
        runtime.start(house.spec("server", id=name, command=["/usr/bin/python3", "-c", filler.format(size)],
                                 image=STACK, limits=Limits(cpu_millis=1000, memory_mb=256, disk_mb=16)))  # fmt: skip
    keeper = DiskKeeper(runtime._api.engine)

    def look() -> Container | None:
        keeper.look()
        container = runtime.get("filler")
        return container if container is not None and container.status is ContainerStatus.EXITED else None

    assert eventually(look, timeout_s=60).reason == "it wrote more than its plan's disk holds"
    other = runtime.get("modest")
    assert other is not None
    assert other.status is ContainerStatus.RUNNING


def test_a_failing_health_check_makes_the_swarm_replace_it(house: House) -> None:
    runtime: SwarmRuntime = house.made[0]
    check = HealthCheck(path="/x", host="shop.test", interval_s=1, timeout_s=1, retries=2, start_s=0)
    silent = ["/usr/bin/python3", "-c", "import time; time.sleep(600)"]
    runtime.start(house.spec("server", id="silent", port=True, command=silent, health=check))
    assert list(runtime.wait_for_exits(40)) == ["silent"]
    container = runtime.get("silent")
    assert container is not None
    assert container.reason == "its health checks failed"


def test_addresses_running_out_is_said(house: House) -> None:
    """A network of sixteen addresses, to stand for one that is full."""
    runtime: SwarmRuntime = house.made[0]
    engine = runtime._api.engine
    name = f"{runtime._api.instance}-org-org2"
    engine.post("/networks/create", {"Name": name, "Driver": "overlay", "Attachable": True,
                                     "IPAM": {"Config": [{"Subnet": "10.127.255.240/29"}]}})  # fmt: skip
    try:
        specs = [
            house.spec("polite", id=f"full-{n}", name=f"worker.{n}", organization_id="org2", group=Group("f", n, 8))
            for n in range(1, 9)
        ]
        with pytest.raises(RuntimeFailed, match="no free address"):
            for spec in specs:
                runtime.start(spec)
    finally:
        for spec in specs:
            runtime.remove(spec.id)
        engine.delete(f"/networks/{name}")


def test_doctor_says_what_the_engine_speaks(swarm_node: Node, tmp_path: Path) -> None:
    (found,) = engine(swarm_node.socket, wanted=True)
    assert found.ok
    assert "API 1." in found.message
    assert "swarm: active" in found.message
    (missing,) = engine(tmp_path / "docker.sock", wanted=True)
    assert not missing.ok
    assert "20.10" in missing.remedy
    assert engine(tmp_path / "docker.sock", wanted=False)[0].ok
