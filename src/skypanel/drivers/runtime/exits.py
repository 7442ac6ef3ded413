"""Waiting for containers to end: a file with their exit code is renamed into a directory, the kernel says so."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.drivers.runtime.watching import DirectoryWatch

ID = re.compile(r"[a-z0-9-]{1,64}")


def checked_id(container_id: str) -> str:
    """Ids become paths, cgroups and arguments. Raises RuntimeFailed for what is none."""
    if not ID.fullmatch(container_id) or container_id.startswith("-"):
        raise RuntimeFailed(f"{container_id!r} is no container id")
    return container_id


class ExitWatch:
    """Reports every exit once in the life of this object, also those from before it was made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reported: dict[str, int] = {}
        self._lock = threading.Lock()
        self._watch: DirectoryWatch | None = None

    def wait(self, timeout_s: float) -> Sequence[str]:
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._watch is None:
                self._watch = DirectoryWatch(self._directory)
            while True:
                # The look comes after the watch was set up, so that nothing falls in between.
                if found := self._news():
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    return ()
                self._watch.wait(left)

    def close(self) -> None:
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _news(self) -> list[str]:
        present: dict[str, int] = {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if ID.fullmatch(entry.name):  # not drafts, which have a dot
                    try:
                        present[entry.name] = entry.stat().st_mtime_ns
                    except FileNotFoundError:
                        continue
        found = sorted(name for name, moment in present.items() if self._reported.get(name) != moment)
        self._reported = present
        return found
