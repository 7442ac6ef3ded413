"""Ends replicas that write more than their plan's disk: the engine keeps no such limit for the tasks of a swarm.

Each is looked at every two seconds, or less often where looking takes long, so that one with many files costs the
machine a twentieth of a core at most, and beside the others, so that it gives none of them time to write. A fast writer
can overshoot in that time, and is ended then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.swarm.names import DISK
from skypanel.drivers.runtime.swarm.scripts import END_DISK_HOG

log = logging.getLogger(__name__)
LOOK_S, REST = 2.0, 20.0  # seconds; rest after a look, in times of how long it took
COUNT_S = 300.0  # the engine may take to count what a container has written: it looks at every file
TELL_S = 10.0
MEBI = 1 << 20


@dataclass
class DiskKeeper:
    """Of the containers of one engine."""

    engine: EngineClient
    monotonic: Callable[[], float] = time.monotonic
    _due: dict[str, float] = field(default_factory=dict)
    _looked_at: set[str] = field(default_factory=set)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self.look()
            except EngineFailed as error:
                log.info("disks are looked at again in a moment: %s", error)
            stopping.wait(LOOK_S)

    def look(self) -> None:
        """Begins to look at each that is due. Raises EngineFailed."""
        limits = {
            each["Id"]: int(each["Labels"][DISK]) * MEBI
            for each in self.engine.get("/containers/json", filters={"label": [DISK]})
        }  # fmt: skip
        for gone in set(self._due) - limits.keys():
            self._due.pop(gone)
        for container, limit in limits.items():
            if container not in self._looked_at and self.monotonic() >= self._due.get(container, 0.0):
                self._looked_at.add(container)
                threading.Thread(target=self._look_at, args=(container, limit), name="disk", daemon=True).start()

    def _look_at(self, container: str, limit: int) -> None:
        began = self.monotonic()
        try:
            if self._written(container) > limit:
                self._end(container, limit)
        except EngineFailed as error:
            if not error.missing:  # else it has ended
                log.warning("what %s wrote to its disk is not known: %s", container[:12], error)
        finally:
            self._due[container] = began + max(0.0, (self.monotonic() - began) * REST - LOOK_S)
            self._looked_at.discard(container)

    def _written(self, container: str) -> int:
        found: Mapping[str, int | None] = self.engine.get(f"/containers/{container}/json", timeout_s=COUNT_S, size="1")
        return found.get("SizeRw") or 0

    def _end(self, container: str, limit: int) -> None:
        """With a last line in its own output, which says why."""
        log.warning("%s wrote more than the %d MB of its disk and is ended", container[:12], limit // MEBI)
        with contextlib.suppress(EngineFailed):  # it may have no process left to say it with
            command = {"Cmd": ["bash", "-c", END_DISK_HOG], "AttachStdout": True}
            made = self.engine.post(f"/containers/{container}/exec", command)["Id"]
            self.engine.post(f"/exec/{made}/start", {"Detach": False}, timeout_s=TELL_S)
        with contextlib.suppress(EngineFailed):  # which is what was wanted
            self.engine.post(f"/containers/{container}/kill", signal="KILL")
