"""Following something that runs to its end: output handed on as it comes, every limit kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skypanel.drivers.runtime.port import RunLimits
from skypanel.drivers.runtime.procfs import ProcessId
from skypanel.drivers.runtime.sizes import DirectoriesLimit
from skypanel.drivers.runtime.watching import DirectoryWatch

LOOK_S = 0.1  # how often a request to cancel is looked for


@dataclass
class Verdict:
    """Why it was ended; all false: it ended by itself."""

    timed_out: bool = False
    cancelled: bool = False
    output_exceeded: bool = False
    disk_exceeded: bool = False

    def __bool__(self) -> bool:
        return self.timed_out or self.cancelled or self.output_exceeded or self.disk_exceeded


class Joins(Protocol):
    """Makes lines of the bytes of a log file."""

    def feed(self, data: bytes) -> list[bytes]: ...

    def end(self) -> list[bytes]: ...


class PlainLines:
    """Of a file that holds the output as it was written."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line + b"\n" for line in lines]

    def end(self) -> list[bytes]:
        rest, self._rest = self._rest, b""
        return [rest + b"\n"] if rest else []


class Follower:
    """Reads a log as it grows. A full one is started anew under its name: the old is read to its end first."""

    def __init__(self, path: Path, joiner: Joins) -> None:
        self._path = path
        self._file: int | None = None
        self._joiner = joiner

    def read(self) -> Iterable[bytes]:
        while True:
            yield from self._rest()
            if not self._reopened():
                return

    def end(self) -> Iterable[bytes]:
        yield from self.read()
        yield from self._joiner.end()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rest(self) -> Iterable[bytes]:
        while self._file is not None and (data := os.read(self._file, 1 << 18)):
            yield from self._joiner.feed(data)

    def _reopened(self) -> bool:
        try:
            if self._file is not None and os.fstat(self._file).st_ino == self._path.stat().st_ino:
                return False
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        self.close()
        self._file = file
        return True


@dataclass
class Run:
    """One run to its end. `directory` holds `log` and gets `exit_file`, both watched."""

    directory: Path
    log: Path
    exit_file: Path
    joiner: Joins
    process: ProcessId  # the one that SIGTERM goes to
    kill: Callable[[], object]  # all of it, at once
    limits: RunLimits
    on_output: Callable[[bytes], None]
    cancelled: Callable[[], bool]
    disk: DirectoriesLimit

    def follow(self, *, flushed: Callable[[], None]) -> Verdict:
        """Returns when it is dead and all of its output was handed on. `flushed` waits until the log is complete."""
        follower, watch = Follower(self.log, self.joiner), DirectoryWatch(self.directory)
        self._left = self.limits.output_bytes
        try:
            verdict = self._watch(follower, watch)
            flushed()
            if not verdict:
                verdict.output_exceeded = not self._hand_on(follower.end())
                verdict.disk_exceeded = self.disk.exceeded(at_once=True)
            return verdict
        finally:
            follower.close()
            watch.close()

    def _watch(self, follower: Follower, watch: DirectoryWatch) -> Verdict:
        deadline = time.monotonic() + self.limits.time_s
        while not self.exit_file.exists() and self.process.alive():
            verdict = Verdict(
                output_exceeded=not self._hand_on(follower.read()),
                cancelled=self.cancelled(),
                timed_out=time.monotonic() >= deadline,
                disk_exceeded=self.disk.exceeded(),
            )
            if verdict:
                if verdict.timed_out and not verdict.cancelled:
                    self.process.send(signal.SIGTERM)
                    self.process.wait(self.limits.grace_s)
                self.kill()
                self._hand_on(follower.read())
                return verdict
            watch.wait(LOOK_S)
        return Verdict()

    def _hand_on(self, lines: Iterable[bytes]) -> bool:
        """False when there was more than allowed; what is allowed was handed on."""
        for line in lines:
            if self._left < len(line):
                self._left = 0
                return False
            self._left -= len(line)
            self.on_output(line)
        return True
