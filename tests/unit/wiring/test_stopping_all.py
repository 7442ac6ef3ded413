import threading

from skypanel.drivers.runtime.memory import Inside, MemoryRuntime
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Limits
from skypanel.wiring.work import stop_all

COUNT = 3


def test_all_containers_get_their_grace_period_at_once() -> None:
    together = threading.Barrier(COUNT)
    left: list[str] = []

    def patient(inside: Inside) -> int:
        inside.terminated.wait()
        together.wait(timeout=20)  # reached by nobody when one is stopped after the other
        left.append(inside.address)
        return 0

    runtime = MemoryRuntime(programs={"patient": patient})
    for number in range(COUNT):
        runtime.start(
            ContainerSpec(
                id=f"web-{number}", kind=ContainerKind.REPLICA, app_id="a", organization_id="o", name="web.1",
                command=["patient"], env={}, uid=1000, limits=Limits(cpu_millis=100, memory_mb=64, disk_mb=8),
            )
        )  # fmt: skip
    stop_all(runtime, grace_s=10)
    assert len(left) == COUNT
    assert not runtime.list()
    stop_all(runtime, grace_s=10)
