"""A complete fake. Programs are Python functions in threads; a `Machine` is what survives the platform's processes."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from skypanel.drivers.runtime.exits import checked_id
from skypanel.drivers.runtime.port import (
    DEFAULT_PORT,
    Container,
    ContainerSpec,
    ContainerStatus,
    Exit,
    RunLimits,
    RuntimeFailed,
)
from skypanel.drivers.runtime.sizes import DirectoriesLimit
from skypanel.kit.secret import Secret

TERMINATED, KILLED = 143, 137
LOOK_S = 0.02
JOIN_S = 2.0  # a program that does not look at `killed` is left behind


@dataclass
class Inside:
    """What a program sees of its container."""

    spec: ContainerSpec
    env: Mapping[str, str]
    address: str
    port: int | None
    log: Path
    terminated: threading.Event = field(default_factory=threading.Event)
    killed: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def print(self, text: str) -> None:
        with self.log.open("a") as stream:
            stream.write(text + "\n")


Program = Callable[[Inside], int]


def until_stopped(inside: Inside) -> int:
    """The program of every command that has none of its own: does nothing and honours SIGTERM."""
    inside.terminated.wait()
    return TERMINATED


def serving(inside: Inside) -> int:
    """Answers 200 to every GET until it is stopped."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            inside.print(format % args)

    with ThreadingHTTPServer((inside.address, inside.port or 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": LOOK_S}, daemon=True)
        thread.start()
        inside.terminated.wait()
        server.shutdown()
        thread.join()
    return TERMINATED


@dataclass
class _Kept:
    container: Container
    inside: Inside
    thread: threading.Thread | None = None


class Machine:
    """The containers, and the directory of their logs, which goes with the machine."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.kept: dict[str, _Kept] = {}
        self.directory = Path(tempfile.mkdtemp(prefix="skypanel-memory-"))
        self.connections: dict[str, int] = {}
        self.addresses = 0
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)


class MemoryRuntime:
    name = "memory"
    trusted = False
    heals = False

    def __init__(
        self,
        *,
        machine: Machine | None = None,
        programs: Mapping[str, Program] | None = None,
        serve: bool = False,
        node: str = "memory",
    ) -> None:
        """`programs`: by the first word of the command. `serve`: containers with a port and no program answer HTTP.
        Another object with the same `machine` is the platform after a restart."""
        self.machine = machine or Machine()
        self.node = node
        self.prepared = False
        self.fail_start: str | None = None  # the next starts raise RuntimeFailed with this
        self._programs = dict(programs or {})
        self._serve = serve
        self._reported: dict[str, datetime] = {}

    def prepare(self) -> None:
        self.prepared = True

    def start(self, spec: ContainerSpec) -> Container:
        checked_id(spec.id)
        self.remove(spec.id)
        return self._start(spec, self.machine.directory / f"{spec.id}.log")

    def _start(self, spec: ContainerSpec, log: Path) -> Container:
        if self.fail_start is not None:
            raise RuntimeFailed(self.fail_start)
        machine = self.machine
        with machine.changed:
            machine.addresses += 1
            number = machine.addresses % 60_000
            address = f"127.77.{number // 250}.{number % 250 + 1}"
            port = DEFAULT_PORT if spec.port else None
            env = {name: value.reveal() if isinstance(value, Secret) else value for name, value in spec.env.items()}
            if port is not None:
                env["PORT"] = str(port)
            log.touch()
            container = Container(
                id=spec.id, kind=spec.kind, app_id=spec.app_id, organization_id=spec.organization_id, name=spec.name,
                status=ContainerStatus.RUNNING, address=address, port=port, log=log, log_format="plain",
                started_at=datetime.now(UTC), finished_at=None, exit_code=None,
            )  # fmt: skip
            kept = _Kept(container, Inside(spec, env, address, port, log))
            machine.kept[spec.id] = kept
        default = serving if self._serve and spec.port else until_stopped
        program = self._programs.get(spec.command[0], default)
        kept.thread = threading.Thread(target=self._live, args=(kept, program), name=f"memory-{spec.id}", daemon=True)
        kept.thread.start()
        return container

    def _live(self, kept: _Kept, program: Program) -> None:
        self._end(kept, program(kept.inside))

    def _end(self, kept: _Kept, code: int, *, oom_killed: bool = False, displaced: bool = False) -> None:
        with self.machine.changed:
            if kept.container.status is ContainerStatus.RUNNING:
                kept.container = replace(
                    kept.container, status=ContainerStatus.EXITED, finished_at=datetime.now(UTC), exit_code=code,
                    oom_killed=oom_killed, displaced=displaced,
                )  # fmt: skip
            kept.inside.terminated.set()
            kept.inside.killed.set()
            kept.inside.ended.set()
            self.machine.changed.notify_all()

    def die(self, container_id: str, *, code: int = 1, oom_killed: bool = False, displaced: bool = False) -> None:
        """For tests: it ends by itself now, with this code, or with its machine."""
        kept = self.machine.kept[container_id]
        self._end(kept, code, oom_killed=oom_killed, displaced=displaced)

    def retire(self, container_ids: Collection[str]) -> None:
        """Nothing is chosen here: `stop` ends the very container it names."""

    def stop(self, container_id: str, *, grace_s: float) -> None:
        kept = self.machine.kept.get(checked_id(container_id))
        if kept is None or kept.container.status is ContainerStatus.EXITED:
            return
        kept.inside.terminated.set()
        if not kept.inside.ended.wait(grace_s):
            self._end(kept, KILLED)

    def remove(self, container_id: str) -> None:
        with self.machine.changed:
            kept = self.machine.kept.pop(checked_id(container_id), None)
            self._reported.pop(container_id, None)
        if kept is not None:
            self._end(kept, KILLED)
            if kept.thread is not None:
                kept.thread.join(JOIN_S)

    def get(self, container_id: str) -> Container | None:
        with self.machine.lock:
            kept = self.machine.kept.get(checked_id(container_id))
            return None if kept is None else kept.container

    def list(self) -> Sequence[Container]:
        with self.machine.lock:
            return tuple(kept.container for _, kept in sorted(self.machine.kept.items()))

    def wait_for_exits(self, timeout_s: float) -> Sequence[str]:
        deadline = time.monotonic() + timeout_s
        with self.machine.changed:
            while True:
                ended = {
                    name: kept.container.finished_at
                    for name, kept in self.machine.kept.items()
                    if kept.container.finished_at is not None
                }
                found = sorted(name for name, moment in ended.items() if self._reported.get(name) != moment)
                self._reported = ended
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self.machine.changed.wait(left)

    def open_connections(self, container_id: str) -> int:
        """What a test put into `machine.connections`."""
        return self.machine.connections.get(container_id, 0)

    def listening(self, container_id: str) -> Sequence[str]:
        container = self.get(container_id)
        serves = container is not None and container.status == ContainerStatus.RUNNING and container.port is not None
        return (f"0.0.0.0:{container.port}",) if serves and container is not None else ()

    def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        log = self.machine.directory / f"{checked_id(container_id)}.log"
        lines = log.read_text().splitlines() if log.exists() else []
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
        self.remove(checked_id(spec.id))
        log = self.machine.directory / f"{spec.id}.run"
        self._start(spec, log)
        kept = self.machine.kept[spec.id]
        disk = DirectoriesLimit(disk_watch, spec.limits.disk_mb * 1024 * 1024)
        handed_on = 0
        deadline = time.monotonic() + limits.time_s
        exceeded = stopped = late = full = False
        try:
            while True:
                ended = kept.inside.ended.is_set()
                data = log.read_bytes()
                for line in data[handed_on:].splitlines(keepends=True):
                    if line.endswith(b"\n") and not exceeded:
                        handed_on += len(line)
                        exceeded = handed_on > limits.output_bytes
                        if not exceeded:
                            on_output(line)
                full = disk.exceeded(at_once=ended)
                if ended or exceeded or full:
                    break
                stopped, late = cancelled(), time.monotonic() >= deadline
                if stopped or late:
                    break
                kept.inside.ended.wait(LOOK_S)
            if late:
                self.stop(spec.id, grace_s=limits.grace_s)
            self._end(kept, KILLED)
            container = kept.container
            return Exit(
                KILLED if container.exit_code is None else container.exit_code, oom_killed=container.oom_killed,
                timed_out=late, cancelled=stopped, output_exceeded=exceeded, disk_exceeded=full,
            )  # fmt: skip
        finally:
            self.remove(spec.id)
            log.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held; containers go on."""

    def destroy(self) -> None:
        for container in self.list():
            self.remove(container.id)
