"""Which log a container's output belongs to."""

from __future__ import annotations

from skypanel.drivers.runtime.port import Container, ContainerKind, Runtime
from skypanel.logs.collector import LogTarget


class LogTargets:
    """Only replicas' output is collected: builds, release commands and one-off runs hand theirs on themselves."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def describe(self, container_id: str) -> LogTarget | None:
        container = self._runtime.get(container_id)
        if container is None or container.kind != ContainerKind.REPLICA:
            return None
        return _target(container)

    def gone(self, container_id: str) -> bool:
        return self._runtime.get(container_id) is None


def _target(container: Container) -> LogTarget:
    return LogTarget(
        streams=(f"app:{container.app_id}",), source="app", replica=container.name, log_format=container.log_format
    )
