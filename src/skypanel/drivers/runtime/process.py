"""Containers without isolation: plain processes, a port each on 127.0.0.1. For one trusted organization, without root
or off Linux. No limit of memory, CPU or processes is kept; time, output and watched directories are.

`/app` does not exist here. With one layer the program works in that very directory, with several in a directory of
links into them, topmost first; `/app` and the targets of binds are replaced by the real paths in the command and in
the variables, and `APP_DIR` and `HOME` name the directory.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skypanel.drivers.runtime import process_shim
from skypanel.drivers.runtime.connections import established_to
from skypanel.drivers.runtime.exits import ExitWatch, checked_id
from skypanel.drivers.runtime.following import PlainLines, Run
from skypanel.drivers.runtime.listening import of_session
from skypanel.drivers.runtime.port import (
    APP_DIR,
    Container,
    ContainerKind,
    ContainerSpec,
    ContainerStatus,
    Exit,
    RunLimits,
    RuntimeFailed,
)
from skypanel.drivers.runtime.procfs import ProcessId, identify
from skypanel.drivers.runtime.sizes import DirectoriesLimit
from skypanel.kit.secret import Secret

ADDRESS = "127.0.0.1"
KILLED = 137
KILL_S = 10.0
MEBI = 1024 * 1024


@dataclass(frozen=True)
class Files:
    """Of one container."""

    directory: Path
    log: Path
    exit_file: Path

    @property
    def record(self) -> Path:
        return self.directory / "state.json"

    @property
    def pids(self) -> Path:
        return self.directory / "pids"


class ProcessRuntime:
    name = "process"
    trusted = True
    heals = False

    def __init__(self, *, data_dir: Path, node: str) -> None:
        self.node = node
        self._containers = data_dir / "containers"
        self._spool = data_dir / "spool"
        self._exit_directory = data_dir / "runtime" / "exits"
        self._exits = ExitWatch(self._exit_directory)

    def prepare(self) -> None:
        for directory in (self._containers, self._spool, self._exit_directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self, spec: ContainerSpec) -> Container:
        self.remove(spec.id)
        self._start(spec, self._files(spec.id))
        container = self.get(spec.id)
        if container is None:
            raise RuntimeFailed(f"{spec.id} was removed while it started")
        return container

    def retire(self, container_ids: Collection[str]) -> None:
        """Nothing is chosen here: `stop` ends the very container it names."""

    def stop(self, container_id: str, *, grace_s: float) -> None:
        record = self._record(checked_id(container_id))
        if record is None:
            return
        shim = ProcessId(*record["shim"])
        shim.send(signal.SIGTERM)
        if not shim.wait(grace_s):
            self._kill(container_id)
            if not shim.wait(KILL_S):
                raise RuntimeFailed(f"{container_id} does not die")

    def remove(self, container_id: str) -> None:
        files = self._files(checked_id(container_id))
        self._kill(container_id)
        if (record := self._record(container_id)) is not None:
            ProcessId(*record["shim"]).wait(KILL_S)
            Path(record["exit_file"]).unlink(missing_ok=True)
        files.exit_file.unlink(missing_ok=True)
        shutil.rmtree(files.directory, ignore_errors=True)

    def get(self, container_id: str) -> Container | None:
        record = self._record(checked_id(container_id))
        if record is None:
            return None
        alive = ProcessId(*record["shim"]).alive()
        code, finished = _read_exit(Path(record["exit_file"]))
        exited = code is not None or not alive
        return Container(
            id=container_id, kind=ContainerKind(record["kind"]), app_id=record["app_id"],
            organization_id=record["organization_id"], name=record["name"],
            status=ContainerStatus.EXITED if exited else ContainerStatus.RUNNING,
            address=ADDRESS, port=record["port"], log=Path(record["log"]), log_format="plain",
            started_at=datetime.fromisoformat(record["started_at"]), finished_at=finished, exit_code=code,
        )  # fmt: skip

    def list(self) -> Sequence[Container]:
        if not self._containers.is_dir():
            return ()
        found = (self.get(directory.name) for directory in sorted(self._containers.iterdir()))
        return tuple(container for container in found if container is not None)

    def wait_for_exits(self, timeout_s: float) -> Sequence[str]:
        return self._exits.wait(timeout_s)

    def open_connections(self, container_id: str) -> int:
        container = self.get(container_id)
        return 0 if container is None or container.port is None else established_to(ADDRESS, container.port)

    def listening(self, container_id: str) -> Sequence[str]:
        record = self._record(checked_id(container_id))
        return of_session(os.getsid(record["program"][0])) if record and _identified_alive(record) else ()

    def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        log = self._files(checked_id(container_id)).log
        lines = log.read_bytes().decode(errors="replace").splitlines() if log.exists() else []
        return lines[max(0, len(lines) - count) :]

    def run(
        self,
        spec: ContainerSpec,
        *,
        limits: RunLimits,
        on_output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        disk_watch: Sequence[Path] = (),
    ) -> Exit:
        self.remove(spec.id)
        directory = self._containers / spec.id
        files = Files(directory, log=directory / "output.log", exit_file=directory / "exit")
        try:
            shim = self._start(spec, files)
            verdict = Run(
                directory, files.log, files.exit_file, PlainLines(), shim, kill=lambda: self._kill(spec.id),
                limits=limits, on_output=on_output, cancelled=cancelled,
                disk=DirectoriesLimit(disk_watch, spec.limits.disk_mb * MEBI),
            ).follow(flushed=lambda: None)  # fmt: skip
            shim.wait(KILL_S)
            code, _ = _read_exit(files.exit_file)
            return Exit(
                KILLED if code is None else code, timed_out=verdict.timed_out, cancelled=verdict.cancelled,
                output_exceeded=verdict.output_exceeded, disk_exceeded=verdict.disk_exceeded,
            )  # fmt: skip
        finally:
            self.remove(spec.id)

    def close(self) -> None:
        """Lets go of what this object holds; containers go on."""
        self._exits.close()

    def destroy(self) -> None:
        """Ends every container: the platform is being uninstalled."""
        for container in self.list():
            self.remove(container.id)

    def _start(self, spec: ContainerSpec, files: Files) -> ProcessId:
        files.directory.mkdir(mode=0o700, parents=True)
        app = _app_directory(spec, files.directory)
        real = {APP_DIR: str(app)} | {bind.target: str(bind.source) for bind in spec.binds}
        port = _free_port() if spec.port else None
        env = _environment(spec, app=app, port=port, real=real)
        workdir = translated(spec.workdir, real)
        command = [translated(word, real) for word in spec.command]
        shim = [sys.executable, "-I", "-S", process_shim.__file__, str(files.exit_file), str(files.pids), workdir]
        with files.log.open("ab") as log:
            try:
                # The shim leaves a copy of itself that is no child of ours, with a session of its own.
                subprocess.run(  # noqa: S603 - an argument list of ours
                    [*shim, *command], env=env, start_new_session=True, check=True, timeout=KILL_S,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                raise RuntimeFailed(f"{spec.id} could not be started: {error}") from error
        over, program = (_identified(int(pid)) for pid in files.pids.read_text().split())
        _write_record(files.record, {
            "kind": spec.kind.value, "app_id": spec.app_id, "organization_id": spec.organization_id,
            "name": spec.name, "port": port, "log": str(files.log), "exit_file": str(files.exit_file),
            "shim": [over.pid, over.start_ticks], "program": [program.pid, program.start_ticks],
            "started_at": datetime.now(UTC).isoformat(),
        })  # fmt: skip
        return over

    def _kill(self, container_id: str) -> None:
        record = self._record(container_id)
        if record is None:
            return
        shim = ProcessId(*record["shim"])
        if shim.alive():
            shim.send(signal.SIGUSR1)
        else:  # somebody killed it: what is left of its program has no exit code any more
            ProcessId(*record["program"]).send(signal.SIGKILL)

    def _files(self, container_id: str) -> Files:
        checked_id(container_id)
        return Files(
            self._containers / container_id, log=self._spool / f"{container_id}.log",
            exit_file=self._exit_directory / container_id,
        )  # fmt: skip

    def _record(self, container_id: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads((self._containers / container_id / "state.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return record


def _identified_alive(record: Mapping[str, Any]) -> bool:
    return ProcessId(*record["program"]).alive()


def translated(text: str, real: Mapping[str, str]) -> str:
    """`text` with paths as they are called inside replaced by the real ones: `/app/bin` but not `/application`."""
    targets = sorted(real, key=len, reverse=True)
    pattern = r"(?<![\w./-])(" + "|".join(map(re.escape, targets)) + r")(?![\w.-])"
    return re.sub(pattern, lambda match: real[match.group(1)], text)


def _environment(spec: ContainerSpec, *, app: Path, port: int | None, real: Mapping[str, str]) -> dict[str, str]:
    given = {name: value.reveal() if isinstance(value, Secret) else value for name, value in spec.env.items()}
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(app)}
    env |= {name: translated(value, real) for name, value in given.items()}
    env["APP_DIR"] = str(app)
    if port is not None:
        env["PORT"] = str(port)
    return env


def _app_directory(spec: ContainerSpec, directory: Path) -> Path:
    """Where the program works. A single layer is not copied: what it writes there stays."""
    for bind in spec.binds:
        if bind.target == APP_DIR:
            return bind.source
    if len(spec.layers) == 1:
        return spec.layers[0]
    merged = directory / "app"
    merged.mkdir()
    for layer in spec.layers:
        for parent, directories, names in os.walk(layer):
            target = merged / Path(parent).relative_to(layer)
            target.mkdir(exist_ok=True)
            for name in [*names, *(each for each in directories if (Path(parent) / each).is_symlink())]:
                link = target / name
                if not link.is_symlink() and not link.exists():
                    link.symlink_to(Path(parent) / name)
    return merged


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _identified(pid: int) -> ProcessId:
    """Also of one that has ended already: then an identity that nothing alive has."""
    return identify(pid) or ProcessId(pid, -1)


def _read_exit(file: Path) -> tuple[int | None, datetime | None]:
    try:
        return int(file.read_text()), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None, None


def _write_record(file: Path, record: Mapping[str, Any]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(record))
    draft.rename(file)
