"""Which processes of the platform live: a file each with the process's id and the moment it started.

The moment guards against another process that got the same id later.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def started_at(pid: int) -> str:
    """The kernel's own start stamp; "" where there is no /proc; raises ProcessLookupError for a dead process."""
    os.kill(pid, 0)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return ""
    if fields[0] in ("Z", "X"):
        raise ProcessLookupError(pid)
    return fields[19]


def write_pid(directory: Path, name: str) -> None:
    """Of the calling process; it may `exec` afterwards and keeps both values."""
    (directory / f"{name}.pid").write_text(f"{os.getpid()} {started_at(os.getpid())}\n")


def alive(directory: Path, name: str) -> int | None:
    """The process's id while it lives."""
    try:
        pid_text, _, stamp = (directory / f"{name}.pid").read_text().strip().partition(" ")
        pid = int(pid_text)
        return pid if started_at(pid) == stamp else None
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    except PermissionError:
        return None  # the id is another user's by now


def end(directory: Path, name: str, *, grace_s: float) -> bool:
    """SIGTERM, then SIGKILL after `grace_s`. False when it did not live any more."""
    pid = alive(directory, name)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while alive(directory, name) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive(directory, name) is not None:
        os.kill(pid, signal.SIGKILL)
        while alive(directory, name) is not None:
            time.sleep(0.02)
    return True
