"""Processes that are not our children: who they are, and waiting for their end (off Linux by looking)."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers import shell

POLL_S = 0.02


@dataclass(frozen=True)
class ProcessId:
    """A process for good: numbers are used again, a number together with its start time is not."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks

    def send(self, number: signal.Signals) -> None:
        """To this very process; nothing happens when it is gone."""
        if sys.platform != "linux":
            if self.alive():
                os.kill(self.pid, number)
            return
        if (file := self._open()) is not None:
            try:
                signal.pidfd_send_signal(file, number)
            except ProcessLookupError:
                return
            finally:
                os.close(file)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """True when it has ended within the time."""
        if sys.platform != "linux":
            deadline = time.monotonic() + timeout_s
            while self.alive() and time.monotonic() < deadline:
                time.sleep(POLL_S)
            return not self.alive()
        file = self._open()
        if file is None:
            return True
        try:
            poll = select.poll()
            poll.register(file, select.POLLIN)
            return bool(poll.poll(max(0.0, timeout_s) * 1000))
        finally:
            os.close(file)

    def name(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def takes(self, number: signal.Signals) -> bool:
        """Whether it has made up its mind about that signal: catches it, or holds it back to fetch it."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return False
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        mask = int(fields.get("SigBlk", "0"), 16) | int(fields.get("SigCgt", "0"), 16)
        return bool(mask >> (number - 1) & 1)

    def _open(self) -> int | None:
        try:
            file = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # The descriptor is of whoever has the number now: look once more that it is still the same process.
        if not self.alive():
            os.close(file)
            return None
        return file


def start_ticks(pid: int) -> int | None:
    """When it started, in clock ticks since boot; None when gone or a zombie. Off Linux: the second it started."""
    if sys.platform != "linux":
        started = shell.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False).stdout.decode().strip()
        return int(time.mktime(time.strptime(started))) if started else None
    try:
        # The name in parentheses may hold anything, so count from behind it.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def leads_group(pid: int) -> bool:
    """Whether it is at the head of a process group of its own."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def identify(pid: int) -> ProcessId | None:
    ticks = start_ticks(pid)
    return None if ticks is None else ProcessId(pid, ticks)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
