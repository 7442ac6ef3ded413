"""Starting one container: every outside effect here is found and taken back by `leftovers.remove_all`."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skypanel.drivers import shell
from skypanel.drivers.runtime.oci import stack
from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.oci.config import Surroundings, config
from skypanel.drivers.runtime.oci.disk import LoopMissing, writable_layer
from skypanel.drivers.runtime.oci.leftovers import remove_all
from skypanel.drivers.runtime.oci.monitor import SYSTEM_PATH, Programs, Watched, create
from skypanel.drivers.runtime.oci.network import Attachment, Network
from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.oci.records import State, write_labels, write_lease, write_state
from skypanel.drivers.runtime.oci.subnet import Lease, Leases
from skypanel.drivers.runtime.port import APP_DIR, ContainerSpec, RuntimeFailed
from skypanel.drivers.runtime.procfs import ProcessId, boot_id, identify

# Without tini: the same in the machine's own shell. The program gets a session, hence a process group, of its own;
# signals go to the group; `wait` of a shell that is PID 1 reaps everything.
SHELL_INIT = (
    "/bin/sh", "-c",
    'setsid "$@" & main=$!; for s in TERM INT HUP QUIT USR1 USR2; do trap "kill -$s -$main 2>/dev/null" $s; done; '
    'while :; do wait $main; code=$?; kill -0 $main 2>/dev/null || exit $code; done', "init",
)  # fmt: skip

SMALLEST_UID = 1_000  # below it are the users of the machine itself
LOOK_S = 0.2  # how often a start looks whether the container has died meanwhile


def find_programs() -> Programs:
    """Raises RuntimeFailed that names the package."""
    found = {}
    for name in ("runc", "conmon"):
        path = shutil.which(name, path=SYSTEM_PATH)
        if path is None:
            raise RuntimeFailed(f"{name} is not installed; on Debian and Ubuntu: apt-get install {name}")
        found[name] = path
    return Programs(conmon=found["conmon"], runc=found["runc"], init=init_command())


def init_command() -> Sequence[str]:
    for name in ("tini-static", "tini"):
        path = shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin")
        if path is not None:
            return (path, "-g", "--")
    return SHELL_INIT


def refuse_links(source: Path, *, below: Path) -> None:
    """A directory of the platform that a tenant could replace by a link would show him any file of the machine.
    Raises RuntimeFailed."""
    if not source.exists():
        raise RuntimeFailed(f"{source} does not exist and can't be shown to a container")
    for path in (source, *source.parents):
        if path == below or (path != source and not path.is_relative_to(below)):
            return
        if path.is_symlink():
            raise RuntimeFailed(f"{path} is a link and can't be shown to a container")


def refuse_toolchain(prefix: Path, *, data_dir: Path) -> None:
    """Its path comes from the database, which a process without any rights writes: a prefix of programs, and nothing
    that would show a container the machine. Raises RuntimeFailed."""
    ours = prefix.is_relative_to(data_dir) or data_dir.is_relative_to(prefix)
    if (
        not prefix.is_absolute()
        or ".." in prefix.parts
        or len(prefix.parts) < 3
        or (ours and not prefix.is_relative_to(data_dir / "toolchains"))
        or not (prefix / "bin").is_dir()
    ):
        raise RuntimeFailed(f"{prefix} is no directory of programs and can't be shown to a container")


@dataclass(frozen=True)
class Starter:
    places: Places
    cgroups: Cgroups
    network: Network
    leases: Leases
    programs: Programs
    seccomp: dict[str, Any] | None

    def start(self, spec: ContainerSpec, *, log: Path, exits: Path) -> State:
        """`spec.id` has no leftovers. Raises RuntimeFailed, and then leaves nothing behind."""
        try:
            return self._start(spec, log=log, exits=exits)
        except BaseException as error:
            self.remove(spec.id)
            if isinstance(error, OSError):
                raise RuntimeFailed(f"{spec.id} could not be started: {error}") from error
            raise

    def remove(self, container_id: str) -> None:
        remove_all(container_id, places=self.places, cgroups=self.cgroups, network=self.network, leases=self.leases)

    def unlimited_disk(self, container_id: str) -> list[Path]:
        """The writable layer where it has no limit of its own, and so has to be watched."""
        upper = self.places.bundle(container_id) / "upper"
        return [upper] if upper.is_dir() else []

    def _start(self, spec: ContainerSpec, *, log: Path, exits: Path) -> State:
        if spec.uid < SMALLEST_UID:
            raise RuntimeFailed(f"no container runs as the user {spec.uid}, who may be one of this machine's own")
        for toolchain in spec.toolchains:
            refuse_toolchain(toolchain, data_dir=self.places.data_dir)
        for bind in spec.binds:
            refuse_links(bind.source, below=self.places.data_dir)
        bundle = self.places.bundle(spec.id)
        (bundle / "sockets").mkdir(mode=0o700, parents=True)  # conmon's sockets
        bundle.chmod(0o700)
        write_labels(bundle, spec, log=log, exits=exits)
        lease = self.leases.take(spec.id)
        write_lease(bundle, lease.index)
        with ExitStack() as until_created:
            attachment = self.network.attach(lease)
            until_created.callback(attachment.close)
            around = self._surroundings(spec, lease, attachment, until_created)
            settings = bundle / "config.json"
            with os.fdopen(os.open(settings, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
                json.dump(config(spec, around), stream)
            watched = Watched(
                spec.id, bundle, log=log, exits=exits, state=self.places.runc,
                cgroup=f"{self.places.monitors}/{spec.id}",
            )  # fmt: skip
            pid = create(self.programs, watched, cgroups=self.cgroups)
            settings.unlink()  # it holds the environment
            attachment.finish()
        process = identify(pid)
        if process is None:
            raise RuntimeFailed(f"{spec.id} died before it was started")
        state = State(process, boot_id(), str(lease.address), datetime.now(UTC))
        write_state(bundle, state)
        self._let_go(spec.id, process)
        return state

    def _surroundings(
        self, spec: ContainerSpec, lease: Lease, attachment: Attachment, until_created: ExitStack
    ) -> Surroundings:
        bundle = self.places.bundle(spec.id)
        hostname = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")[:63] or "app"
        stack.write_etc(bundle / "etc", uid=spec.uid, hostname=hostname, address=lease.address)
        device, directory = None, None
        if all(bind.target != APP_DIR for bind in spec.binds):
            try:
                layer = writable_layer(
                    templates=self.places.templates,
                    size_mb=spec.limits.disk_mb,
                    uid=spec.uid,
                    scratch=bundle / "upper.img",
                )
                until_created.callback(layer.close)
                device = layer.device
            except LoopMissing:
                directory = bundle / "upper"
                (directory / "up").mkdir(parents=True)
                (directory / "work").mkdir()
                os.chown(directory / "up", spec.uid, spec.uid)
        return Surroundings(
            rootfs=self.places.rootfs, etc=(bundle / "etc", self.places.etc), empty=self.places.empty, upper=device,
            upper_directory=directory, netns=f"/proc/{os.getpid()}/fd/{attachment.fd}",
            cgroup=f"/{self.places.cgroup}/{spec.id}", hostname=hostname, init=self.programs.init, seccomp=self.seccomp,
            limits_swap=self.cgroups.swap_limit(self.places.cgroup), also_bound=stack.unmerged_directories(),
        )  # fmt: skip

    def _let_go(self, container_id: str, process: ProcessId) -> None:
        """What `runc start` does, without its process: the init waits until somebody reads from its pipe."""
        fifo = self.places.runc / container_id / "exec.fifo"
        try:
            file = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            try:
                shell.run([self.programs.runc, "--root", self.places.runc, "start", container_id])
            except shell.CommandFailed as error:
                raise RuntimeFailed(f"{container_id} could not be started: {error.output.strip()[-500:]}") from error
            return
        try:
            while not select.select([file], [], [], LOOK_S)[0]:
                if not process.alive():
                    raise RuntimeFailed(f"{container_id} died before it was started")
            os.read(file, 1)
        finally:
            os.close(file)
        fifo.unlink(missing_ok=True)
