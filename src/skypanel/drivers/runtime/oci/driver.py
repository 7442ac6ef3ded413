"""The verbs of the port for containers by runc and conmon."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from skypanel.drivers.runtime.connections import established_to
from skypanel.drivers.runtime.exits import ExitWatch, checked_id
from skypanel.drivers.runtime.listening import in_namespace_of
from skypanel.drivers.runtime.oci import doctor, seccomp, stack
from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.oci.disk_keeper import LOOK_S, end_disk_hogs
from skypanel.drivers.runtime.oci.firewall import Firewall, Policy
from skypanel.drivers.runtime.oci.logfile import last_lines
from skypanel.drivers.runtime.oci.monitor import monitor_of
from skypanel.drivers.runtime.oci.monitor_watch import MonitorWatch
from skypanel.drivers.runtime.oci.network import Network
from skypanel.drivers.runtime.oci.oneoff import run_to_end
from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.oci.records import read_container, read_state, running
from skypanel.drivers.runtime.oci.resolvers import upstream_resolvers
from skypanel.drivers.runtime.oci.starter import Starter, find_programs
from skypanel.drivers.runtime.oci.subnet import Leases
from skypanel.drivers.runtime.port import (
    Container,
    ContainerKind,
    ContainerSpec,
    Exit,
    Limits,
    Problem,
    RunLimits,
    RuntimeFailed,
    Usage,
)
from skypanel.drivers.runtime.procfs import ProcessId, leads_group

KILL_S = 10.0
INIT_S = 2.0
MIRROR_S = 600.0
PROBE_UID = 65534
LOST_S = 60.0  # nobody takes that long between taking an address and making its container


class OciRuntime:
    name = "oci"
    trusted = False
    heals = False

    def __init__(
        self,
        *,
        data_dir: Path,
        instance: str,
        subnet: IPv4Network,
        node: str,
        resolvers: Sequence[IPv4Address] = (),
        allowed_private: Sequence[IPv4Network] = (),
        host_ports: Sequence[int] = (),
        use_seccomp: bool = True,
        ca_bundle: Path | None = None,
        probe: tuple[str, int] = ("pypi.org", 443),
    ) -> None:
        """`instance`: eight hexadecimal digits. `resolvers`: none means the machine's own. `host_ports`: TCP ports of
        this machine that containers may reach. `ca_bundle`: takes the place of the system's bundle of certificates.
        `probe`: what `diagnose` connects to. Touches nothing yet."""
        self._probe = probe
        self.node = node
        self.places = Places(data_dir, instance)
        self._ca_bundle = ca_bundle
        self._use_seccomp = use_seccomp
        self._resolvers = tuple(resolvers) or tuple(upstream_resolvers())
        self._network = Network(instance=instance, subnet=subnet)
        self._leases = Leases(self.places.addresses, instance=instance, network=subnet)
        self._firewall = Firewall(Policy(instance, subnet, self._resolvers, tuple(allowed_private), tuple(host_ports)))
        self._cgroups = Cgroups()
        self._next_mirror = 0.0
        self._exits = ExitWatch(self.places.exits)
        self._monitors = MonitorWatch(self.places)

    @cached_property
    def _starter(self) -> Starter:
        return Starter(
            places=self.places, cgroups=self._cgroups, network=self._network, leases=self._leases,
            programs=find_programs(), seccomp=seccomp.profile() if self._use_seccomp else None,
        )  # fmt: skip

    def prepare(self) -> None:
        if os.geteuid() != 0:
            raise RuntimeFailed("containers need root; start the platform as root or set SKYPANEL_RUNTIME=process")
        for directory in self.places.directories():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What containers see of these is their root and their /etc.
        for directory in (self.places.rootfs, self.places.etc, self.places.empty):
            directory.chmod(0o755)
        stack.prepare_rootfs(self.places)
        stack.prepare_etc(
            self.places, resolvers=self._resolvers, ca_bundle=self._ca_bundle, mirror=self._mirror_is_due()
        )
        self._network.prepare()
        self._firewall.prepare()
        self._return_lost_leases()

    def start(self, spec: ContainerSpec) -> Container:
        checked_id(spec.id)
        self._starter.remove(spec.id)
        self._starter.start(spec, log=self.places.log(spec.id), exits=self.places.exits)
        self._monitors.look()
        container = self.get(spec.id)
        if container is None:
            raise RuntimeFailed(f"{spec.id} was removed while it started")
        return container

    def retire(self, container_ids: Collection[str]) -> None:
        """Nothing is chosen here: `stop` ends the very container it names."""

    def stop(self, container_id: str, *, grace_s: float) -> None:
        bundle = self.places.bundle(checked_id(container_id))
        state = read_state(bundle)
        if state is None or not running(state):
            return
        cgroup = f"{self.places.cgroup}/{container_id}"
        _await_init(state.process, inside=lambda: self._cgroups.pids(cgroup))
        state.process.send(signal.SIGTERM)
        if not state.process.wait(grace_s):
            state.process.kill()
            if not state.process.wait(KILL_S):
                raise RuntimeFailed(f"{container_id} does not die; the machine may have to be restarted")
        if (monitor := monitor_of(bundle)) is not None:
            monitor.wait(KILL_S)  # it notes the exit code

    def remove(self, container_id: str) -> None:
        self._starter.remove(checked_id(container_id))

    def get(self, container_id: str) -> Container | None:
        return read_container(self.places, checked_id(container_id), cgroups=self._cgroups)

    def list(self) -> Sequence[Container]:
        if not self.places.containers.is_dir():
            return ()
        found = (
            read_container(self.places, bundle.name, cgroups=self._cgroups)
            for bundle in sorted(self.places.containers.iterdir())
        )
        return tuple(container for container in found if container is not None)

    def wait_for_exits(self, timeout_s: float) -> Sequence[str]:
        deadline = time.monotonic() + timeout_s
        self._monitors.look()
        while True:
            left = deadline - time.monotonic()
            found = self._exits.wait(min(left, LOOK_S) if end_disk_hogs(self.places) else left)
            if found or time.monotonic() >= deadline:
                return found

    def open_connections(self, container_id: str) -> int:
        container = self.get(container_id)
        if container is None or container.address is None or container.port is None:
            return 0
        return established_to(container.address, container.port)

    def listening(self, container_id: str) -> Sequence[str]:
        state = read_state(self.places.bundle(checked_id(container_id)))
        return in_namespace_of(state.process.pid) if state is not None and running(state) else ()

    def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        return last_lines(self.places.log(checked_id(container_id)), count)

    def run(
        self,
        spec: ContainerSpec,
        *,
        limits: RunLimits,
        on_output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        disk_watch: Sequence[Path] = (),
    ) -> Exit:
        checked_id(spec.id)
        return run_to_end(
            self._starter, spec, limits=limits, on_output=on_output, cancelled=cancelled, disk_watch=disk_watch
        )

    def usage(self, container_id: str) -> Usage | None:
        found = self._cgroups.usage(f"{self.places.cgroup}/{checked_id(container_id)}")
        return None if found is None else Usage(cpu_seconds=found[0], memory_bytes=found[1])

    def diagnose(self) -> Sequence[Problem]:
        """Prepares the machine, then runs a container that connects to the outside."""
        bridge = self._network.bridge
        try:
            self.prepare()
        except RuntimeFailed as error:
            problems = [*doctor.check(doctor.this_machine(), bridge=bridge)]
            return problems or [Problem("prepare", str(error), "see the message; then ask doctor again")]
        problems = [*doctor.check(doctor.this_machine(), bridge=bridge)]
        host, port = self._probe
        found = doctor.egress(self._probed, host=host, port=port, bridge=bridge)
        return [*problems, found] if found is not None else problems

    def _probed(self, command: Sequence[str]) -> tuple[int, str]:
        lines: list[bytes] = []
        spec = ContainerSpec(
            id="doctor", kind=ContainerKind.RUN, app_id="", organization_id="", name="doctor", command=command, env={},
            uid=PROBE_UID, limits=Limits(cpu_millis=500, memory_mb=64, disk_mb=8),
        )  # fmt: skip
        limits = RunLimits(time_s=30, output_bytes=64_000)
        result = self.run(spec, limits=limits, on_output=lines.append, cancelled=lambda: False)
        return result.code, b"".join(lines).decode(errors="replace")

    def close(self) -> None:
        """Lets go of what this object holds; containers go on."""
        self._exits.close()

    def destroy(self) -> None:
        """Removes every container and the network: the platform is being uninstalled."""
        names = (
            {bundle.name for bundle in self.places.containers.iterdir()} if self.places.containers.is_dir() else set()
        )
        for container_id in names | self._cgroups.children(self.places.cgroup):
            self._starter.remove(container_id)
        self._network.destroy()
        self._firewall.destroy()
        for path in (self.places.cgroup, self.places.monitors):
            self._cgroups.destroy(path)
        shutil.rmtree(self.places.runc.parent, ignore_errors=True)

    def _mirror_is_due(self) -> bool:
        """The machine's own /etc changes with package updates, so looking at all of it now and then is enough."""
        if time.monotonic() < self._next_mirror:
            return False
        self._next_mirror = time.monotonic() + MIRROR_S
        return True

    def _return_lost_leases(self) -> None:
        """Addresses whose container is gone: their taker died between taking and using them."""
        for index, container_id in self._leases.held().items():
            if not container_id or not self.places.bundle(container_id).exists():
                self._leases.give_back(index, older_than_s=LOST_S)


def _await_init(process: ProcessId, *, inside: Callable[[], set[int]]) -> None:
    """A PID 1 that has not yet said what it does with SIGTERM never gets it, and one whose program has no process
    group yet passes it on to nobody: in the first milliseconds it would be lost, and all of the grace with it."""
    deadline = time.monotonic() + INIT_S
    while time.monotonic() < deadline and process.alive():
        ready = not process.name().startswith("runc") and process.takes(signal.SIGTERM)
        if ready and any(leads_group(pid) for pid in inside() - {process.pid}):
            return
        time.sleep(0.002)
