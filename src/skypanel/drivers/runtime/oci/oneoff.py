"""A container run to its end, with nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skypanel.drivers.runtime.following import Run
from skypanel.drivers.runtime.oci.logfile import LineJoiner
from skypanel.drivers.runtime.oci.monitor import monitor_of
from skypanel.drivers.runtime.oci.records import KILLED, read_exit
from skypanel.drivers.runtime.oci.starter import Starter
from skypanel.drivers.runtime.port import ContainerSpec, Exit, RunLimits
from skypanel.drivers.runtime.sizes import DirectoriesLimit

FLUSH_S = 5.0
MEBI = 1024 * 1024


def run_to_end(
    starter: Starter,
    spec: ContainerSpec,
    *,
    limits: RunLimits,
    on_output: Callable[[bytes], None],
    cancelled: Callable[[], bool],
    disk_watch: Sequence[Path],
) -> Exit:
    """Raises RuntimeFailed when it cannot be started. Its log and exit file are in its own directory, not where the
    collector and the watcher of replicas look."""
    starter.remove(spec.id)
    bundle = starter.places.bundle(spec.id)
    log, exit_file, cgroup = bundle / "output.log", bundle / spec.id, f"{starter.places.cgroup}/{spec.id}"

    def flushed() -> None:
        if (monitor := monitor_of(bundle)) is not None:
            monitor.wait(FLUSH_S)

    try:
        state = starter.start(spec, log=log, exits=bundle)
        watched = [*disk_watch, *starter.unlimited_disk(spec.id)]
        verdict = Run(
            bundle, log, exit_file, LineJoiner(), state.process,
            kill=lambda: starter.cgroups.destroy_processes(cgroup), limits=limits, on_output=on_output,
            cancelled=cancelled, disk=DirectoriesLimit(watched, spec.limits.disk_mb * MEBI),
        ).follow(flushed=flushed)  # fmt: skip
        code, _ = read_exit(exit_file)
        code = KILLED if code is None else code
        return Exit(
            code, oom_killed=code != 0 and starter.cgroups.oom_kills(cgroup) > 0, timed_out=verdict.timed_out,
            cancelled=verdict.cancelled, output_exceeded=verdict.output_exceeded, disk_exceeded=verdict.disk_exceeded,
            processes_exceeded=starter.cgroups.refused_processes(cgroup) > 0,
        )  # fmt: skip
    finally:
        starter.remove(spec.id)
