"""Waiting for containers to end: conmon renames a file into a directory, the kernel says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from inotify_simple import INotify, flags

from skypanel.drivers.runtime.oci.records import ID


class ExitWatch:
    """Reports every exit once in the life of this object, also those from before it was made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reported: dict[str, int] = {}
        self._lock = threading.Lock()
        self._inotify: INotify | None = None

    def wait(self, timeout_s: float) -> Sequence[str]:
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._inotify is None:
                self._inotify = INotify()
                self._inotify.add_watch(str(self._directory), flags.MOVED_TO | flags.CLOSE_WRITE)
            while True:
                if found := self._news():
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self._inotify.read(timeout=max(1, int(left * 1000))):
                    return self._news()

    def close(self) -> None:
        with self._lock:
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None

    def _news(self) -> list[str]:
        present: dict[str, int] = {}
        for file in self._directory.iterdir():
            if ID.fullmatch(file.name):  # not conmon's drafts, which have a dot
                try:
                    present[file.name] = file.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
        found = [name for name, moment in present.items() if self._reported.get(name) != moment]
        self._reported = present
        return found
