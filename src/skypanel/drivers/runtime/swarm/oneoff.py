"""A task run to its end: its output handed on as it comes, every limit kept."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from skypanel.drivers.engine.client import EngineFailed
from skypanel.drivers.runtime.following import LOOK_S, Verdict
from skypanel.drivers.runtime.port import ContainerSpec, Exit, RunLimits, RuntimeFailed
from skypanel.drivers.runtime.sizes import DirectoriesLimit
from skypanel.drivers.runtime.swarm import scripts
from skypanel.drivers.runtime.swarm.api import SwarmApi
from skypanel.drivers.runtime.swarm.service import MEBI
from skypanel.drivers.runtime.swarm.tasks import KILLED, Task, reason

FLUSH_S = 5.0
STATE_EVERY_S = 0.1


class _Output:
    """A thread that reads the task's output as it comes; whole lines come out of `lines`."""

    def __init__(self, api: SwarmApi, task: str) -> None:
        self.lines: queue.Queue[bytes] = queue.Queue(maxsize=10_000)
        self._api, self._task = api, task
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._read_bytes = {1: 0, 2: 0}
        self._rest = {1: b"", 2: b""}
        threading.Thread(target=self._follow, name=f"output-{task}", daemon=True).start()

    def abandon(self) -> None:
        self._over.set()

    def rest(self) -> Iterator[bytes]:
        """What was not handed on yet, of a task that has ended: the engine does not end a stream that is followed."""
        self._over.set()
        with self._lock:
            while not self.lines.empty():
                yield self.lines.get_nowait()
            skip = dict(self._read_bytes)
            for stream, frame in self._frames(follow=False):
                fresh = frame[skip[stream] :] if skip[stream] < len(frame) else b""
                skip[stream] -= min(skip[stream], len(frame))
                yield from self._whole(stream, fresh)
            for stream, line in self._rest.items():
                if line:
                    self._rest[stream] = b""
                    yield line + b"\n"

    def _frames(self, *, follow: bool) -> Iterator[tuple[int, bytes]]:
        query = {"stdout": "1", "stderr": "1", "follow": str(int(follow))}
        for stream, frame in self._api.engine.output(
            f"/tasks/{self._task}/logs", query, read_timeout_s=None if follow else FLUSH_S
        ):
            if stream in self._rest:
                yield stream, frame

    def _whole(self, stream: int, frame: bytes) -> Iterator[bytes]:
        *whole, self._rest[stream] = (self._rest[stream] + frame).split(b"\n")
        for line in whole:
            yield line + b"\n"

    def _follow(self) -> None:
        try:
            for stream, frame in self._frames(follow=True):
                with self._lock:
                    if self._over.is_set():
                        return
                    self._read_bytes[stream] += len(frame)
                    lines = list(self._whole(stream, frame))
                for line in lines:
                    self._put(line)
        except EngineFailed:
            return  # `rest` reads all of it

    def _put(self, line: bytes) -> None:
        while not self._over.is_set():
            try:
                self.lines.put(line, timeout=0.2)
                return
            except queue.Full:
                continue


def run_to_end(
    api: SwarmApi,
    task_id: str,
    spec: ContainerSpec,
    *,
    limits: RunLimits,
    on_output: Callable[[bytes], None],
    cancelled: Callable[[], bool],
    disk_watch: Sequence[Path],
    end: Callable[[], object],
) -> Exit:
    """`end` removes it, when a limit is reached. Raises RuntimeFailed when it could not be started."""
    output = _Output(api, task_id)
    disk = DirectoriesLimit(disk_watch, spec.limits.disk_mb * MEBI)
    hand = _Hand(output, limits.output_bytes, on_output)
    try:
        verdict, task = _watch(api, task_id, hand, limits, cancelled, disk)
        if verdict:
            end()
            hand.take(0.0)
            return Exit(KILLED, timed_out=verdict.timed_out, cancelled=verdict.cancelled,
                        output_exceeded=verdict.output_exceeded, disk_exceeded=verdict.disk_exceeded)  # fmt: skip
        whole = hand.take_rest()
        if task is None or task.exit_code is None:
            raise RuntimeFailed((task and reason(task.error)) or "its task ended before it had begun")
        ran_out = task.exit_code == KILLED and scripts.OUT_OF_MEMORY.encode() in hand.last
        return Exit(task.exit_code, oom_killed=ran_out, output_exceeded=not whole,
                    disk_exceeded=disk.exceeded(at_once=True))  # fmt: skip
    finally:
        output.abandon()


class _Hand:
    """Hands lines on until there are more than allowed."""

    def __init__(self, output: _Output, limit: int, on_output: Callable[[bytes], None]) -> None:
        self._output, self._left, self._on_output = output, limit, on_output
        self.last = b""

    def take(self, wait_s: float) -> bool:
        """What is there, waiting for the first; False when it was too much."""
        while True:
            try:
                line = self._output.lines.get(timeout=wait_s) if wait_s else self._output.lines.get_nowait()
            except queue.Empty:
                return True
            wait_s = 0.0
            if not self._give(line):
                return False

    def take_rest(self) -> bool:
        try:
            return all(self._give(line) for line in self._output.rest())
        except EngineFailed as error:
            raise RuntimeFailed(f"its output could not be read to the end: {error}") from error

    def _give(self, line: bytes) -> bool:
        if len(line) > self._left:
            self._left = 0
            return False
        self._left -= len(line)
        self.last = line
        self._on_output(line)
        return True


def _watch(
    api: SwarmApi, task_id: str, hand: _Hand, limits: RunLimits, cancelled: Callable[[], bool], disk: DirectoriesLimit
) -> tuple[Verdict, Task | None]:
    deadline = time.monotonic() + limits.time_s
    look_at = 0.0
    task: Task | None = None
    while True:
        fits = hand.take(LOOK_S)
        verdict = Verdict(
            output_exceeded=not fits, cancelled=cancelled(), timed_out=time.monotonic() >= deadline,
            disk_exceeded=disk.exceeded(),
        )  # fmt: skip
        if verdict:
            return verdict, task
        if time.monotonic() >= look_at:
            task = api.task(task_id)
            if task is None or task.over:
                return verdict, task
            look_at = time.monotonic() + STATE_EVERY_S
