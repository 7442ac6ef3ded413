"""A container run to its end: its output handed on as it comes, every limit kept, nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inotify_simple import INotify, flags

from skypanel.drivers.runtime.oci.logfile import Follower
from skypanel.drivers.runtime.oci.monitor import monitor_of
from skypanel.drivers.runtime.oci.records import KILLED, State, read_exit
from skypanel.drivers.runtime.oci.starter import Starter
from skypanel.drivers.runtime.port import ContainerSpec, Exit, RunLimits
from skypanel.drivers.runtime.sizes import DirectoriesLimit

LOOK_S = 0.1  # how often a request to cancel is looked for
FLUSH_S = 5.0


@dataclass
class _Verdict:
    timed_out: bool = False
    cancelled: bool = False
    output_exceeded: bool = False
    disk_exceeded: bool = False

    def __bool__(self) -> bool:
        return self.timed_out or self.cancelled or self.output_exceeded or self.disk_exceeded


class OneOff:
    def __init__(self, starter: Starter) -> None:
        self._starter = starter

    def run(
        self,
        spec: ContainerSpec,
        *,
        limits: RunLimits,
        on_output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        disk_watch: Sequence[Path],
    ) -> Exit:
        self._starter.remove(spec.id)
        bundle = self._starter.places.bundle(spec.id)
        log, exit_file = bundle / "output.log", bundle / spec.id
        try:
            state = self._starter.start(spec, log=log, exits=bundle)
            watch = _Watch(bundle, log=log, exit_file=exit_file, limit=limits.output_bytes, on_output=on_output)
            disk = DirectoriesLimit(disk_watch, spec.limits.disk_mb * 1024 * 1024)
            try:
                verdict = self._follow(spec.id, state, watch, limits=limits, cancelled=cancelled, disk=disk)
                if (monitor := monitor_of(bundle)) is not None:
                    monitor.wait(FLUSH_S)
                verdict.output_exceeded |= not watch.end() and not verdict
            finally:
                watch.close()
            code, _ = read_exit(exit_file)
            code = KILLED if code is None else code
            kills = self._starter.cgroups.oom_kills(f"{self._starter.places.cgroup}/{spec.id}")
            return Exit(
                code, oom_killed=kills > 0 and code != 0, timed_out=verdict.timed_out, cancelled=verdict.cancelled,
                output_exceeded=verdict.output_exceeded, disk_exceeded=verdict.disk_exceeded,
            )  # fmt: skip
        finally:
            self._starter.remove(spec.id)

    def _follow(
        self,
        container_id: str,
        state: State,
        watch: _Watch,
        *,
        limits: RunLimits,
        cancelled: Callable[[], bool],
        disk: DirectoriesLimit,
    ) -> _Verdict:
        """Until it ends by itself or has to be ended; it is dead afterwards."""
        deadline = time.monotonic() + limits.time_s
        verdict = _Verdict()
        while not watch.exited():
            watch.wait(LOOK_S)
            verdict.output_exceeded = not watch.read()
            verdict.cancelled = cancelled()
            verdict.timed_out = time.monotonic() >= deadline
            verdict.disk_exceeded = disk.exceeded()
            if verdict or not state.process.alive():
                break
        if watch.exited():
            return _Verdict(output_exceeded=verdict.output_exceeded, disk_exceeded=verdict.disk_exceeded)
        if verdict.timed_out:
            state.process.send(signal.SIGTERM)
            state.process.wait(limits.grace_s)
        self._starter.cgroups.destroy_processes(f"{self._starter.places.cgroup}/{container_id}")
        return verdict


class _Watch:
    """The log and the exit file of one container, by inotify on its directory."""

    def __init__(
        self, bundle: Path, *, log: Path, exit_file: Path, limit: int, on_output: Callable[[bytes], None]
    ) -> None:
        self._follower = Follower(log)
        self._exit_file = exit_file
        self._left = limit
        self._on_output = on_output
        self._inotify = INotify()
        self._inotify.add_watch(os.fspath(bundle), flags.MODIFY | flags.MOVED_TO | flags.CREATE)

    def exited(self) -> bool:
        return self._exit_file.exists()

    def wait(self, timeout_s: float) -> None:
        if not self.exited():
            self._inotify.read(timeout=int(timeout_s * 1000))

    def read(self) -> bool:
        """False when there was more output than allowed; what is allowed was handed on."""
        return self._hand_on(self._follower.read())

    def end(self) -> bool:
        return self._hand_on(self._follower.end())

    def close(self) -> None:
        self._follower.close()
        self._inotify.close()

    def _hand_on(self, lines: Iterable[bytes]) -> bool:
        for line in lines:
            if self._left < len(line):
                self._left = 0
                return False
            self._left -= len(line)
            self._on_output(line)
        return True
