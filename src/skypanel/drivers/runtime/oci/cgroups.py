"""Control groups of containers and of their monitors, on v1, hybrid and v2, by their files."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MONITOR_CONTROLLERS = frozenset({"memory", "pids", "freezer", "name=systemd"})


@dataclass(frozen=True)
class Hierarchy:
    mount: Path
    controllers: frozenset[str]  # empty: version 2

    @property
    def v2(self) -> bool:
        return not self.controllers


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The cgroup mounts in the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.partition(" ")
        mount = Path(left.split(" ")[4])
        if kind == "cgroup2":
            found.append(Hierarchy(mount, frozenset()))
        elif kind == "cgroup":
            names = frozenset(options.rsplit(" ", 1)[-1].split(",")) - {"rw", "ro"}
            found.append(Hierarchy(mount, names))
    return found


class Cgroups:
    def __init__(self, mountinfo: Path = Path("/proc/self/mountinfo")) -> None:
        self.hierarchies = hierarchies(mountinfo.read_text())

    def _with(self, controller: str) -> Hierarchy | None:
        v1 = next((h for h in self.hierarchies if controller in h.controllers), None)
        return v1 or next((h for h in self.hierarchies if h.v2), None)

    def has(self, controller: str) -> bool:
        hierarchy = self._with(controller)
        if hierarchy is None or not hierarchy.v2:
            return hierarchy is not None
        return controller in (hierarchy.mount / "cgroup.controllers").read_text().split()

    def join(self, path: str, pid: int) -> None:
        """Moves a process into `path` of every hierarchy that could account for or kill it with the platform."""
        for hierarchy in self.hierarchies:
            if hierarchy.v2 or hierarchy.controllers & MONITOR_CONTROLLERS:
                directory = hierarchy.mount / path
                directory.mkdir(parents=True, exist_ok=True)
                (directory / "cgroup.procs").write_text(str(pid))

    def swap_limit(self, parent: str) -> bool:
        """Whether this kernel can limit swap; `parent` is a cgroup of ours (the root of v2 has no such file)."""
        memory = self._with("memory")
        if memory is None:
            return False
        if not memory.v2:
            return (memory.mount / "memory.memsw.limit_in_bytes").exists()
        (memory.mount / "cgroup.subtree_control").write_text("+memory")
        directory = memory.mount / parent
        directory.mkdir(exist_ok=True)
        return (directory / "memory.swap.max").exists()

    def oom_kills(self, path: str) -> int:
        """How many processes in it the kernel killed for want of memory."""
        memory = self._with("memory")
        if memory is None:
            return 0
        directory = memory.mount / path
        return _field(directory / ("memory.events" if memory.v2 else "memory.oom_control"), "oom_kill")

    def refused_processes(self, path: str) -> int:
        """How many times the limit of processes kept one from starting."""
        pids = self._with("pids")
        return _field(pids.mount / path / "pids.events", "max") if pids is not None else 0

    def usage(self, path: str) -> tuple[float, int] | None:
        """CPU seconds so far and bytes of memory now; None when there is no such cgroup."""
        cpu, memory = self._with("cpuacct"), self._with("memory")
        if cpu is None or memory is None:
            return None
        try:
            if cpu.v2:
                seconds = _field(cpu.mount / path / "cpu.stat", "usage_usec") / 1e6
            else:
                seconds = int((cpu.mount / path / "cpuacct.usage").read_text()) / 1e9
            name, inactive = (
                ("memory.current", "inactive_file") if memory.v2 else ("memory.usage_in_bytes", "total_inactive_file")
            )
            used = int((memory.mount / path / name).read_text())
        except OSError:
            return None
        # Page cache that can go at any moment is no use of memory: the same figure that `docker stats` shows.
        return seconds, max(0, used - _field(memory.mount / path / "memory.stat", inactive))

    def pids(self, path: str) -> set[int]:
        found: set[int] = set()
        for directory in self._directories(path):
            try:
                found.update(int(pid) for pid in (directory / "cgroup.procs").read_text().split())
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise
        return found

    def _directories(self, path: str) -> list[Path]:
        """`path` and everything below it, deepest first, in every hierarchy."""
        found: list[Path] = []
        for hierarchy in self.hierarchies:
            top = hierarchy.mount / path
            if top.is_dir():
                found.extend(Path(directory) for directory, _, _ in os.walk(top, topdown=False))
        return found

    def exists(self, path: str) -> bool:
        return any((hierarchy.mount / path).is_dir() for hierarchy in self.hierarchies)

    def children(self, parent: str) -> set[str]:
        return {
            child.name
            for hierarchy in self.hierarchies
            if (hierarchy.mount / parent).is_dir()
            for child in (hierarchy.mount / parent).iterdir()
            if child.is_dir()
        }

    def destroy_processes(self, path: str, *, timeout_s: float = 10.0) -> Sequence[int]:
        """Kills everything inside, again and again until nothing is left. Returns what would not die in time."""
        deadline = time.monotonic() + timeout_s
        pause = 0.001
        while pids := self.pids(path):
            if time.monotonic() > deadline:
                return sorted(pids)
            for pid in pids:
                _kill(pid)
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return ()

    def destroy(self, path: str, *, timeout_s: float = 10.0) -> Sequence[int]:
        """The same, and removes the cgroup with all below it."""
        deadline = time.monotonic() + timeout_s
        if stubborn := self.destroy_processes(path, timeout_s=timeout_s):
            return stubborn
        for directory in self._directories(path):
            while True:
                try:
                    directory.rmdir()
                except FileNotFoundError:
                    pass
                except OSError as error:
                    # A process that is just dying still pins its cgroup for a moment.
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(0.002)
                    continue
                break
        return ()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _field(file: Path, name: str) -> int:
    try:
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
    return 0
