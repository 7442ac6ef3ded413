"""Waiting for files in some directories to change: by inotify, or a tenth of a second at a time where there is none."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path

POLL_S = 0.1


class SpoolWatch:
    """Not safe for threads but for `ring`."""

    def __init__(self, directories: Sequence[Path], *, inotify: bool = True) -> None:
        self._directories = directories
        self._bell, self._ringer = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ringer, False)
        self._fd = -1
        self._watches: dict[int, Path] = {}
        self._poller = select.poll()
        self._poller.register(self._bell, select.POLLIN)
        if inotify and sys.platform == "linux":
            self._start()

    def _start(self) -> None:
        from inotify_simple import INotify, flags

        try:
            self._inotify = INotify(nonblocking=True)
        except OSError:  # the machine's limit of instances is reached
            return
        mask = flags.MODIFY | flags.CREATE | flags.MOVED_TO | flags.CLOSE_WRITE
        for directory in self._directories:
            self._watches[self._inotify.add_watch(directory, mask)] = directory
        self._fd = self._inotify.fileno()
        self._poller.register(self._fd, select.POLLIN)

    def wait(self, timeout_s: float) -> set[Path] | None:
        """Paths that changed; None when any may have."""
        if self._fd < 0:
            self._poller.poll(min(timeout_s, POLL_S) * 1000)
            self._silence()
            return None
        self._poller.poll(timeout_s * 1000)
        self._silence()
        from inotify_simple import flags

        changed: set[Path] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return None
            changed.add(self._watches[event.wd] / event.name)
        return changed

    def _silence(self) -> None:
        try:
            os.read(self._bell, 4096)
        except BlockingIOError:
            return

    def ring(self) -> None:
        """Ends a wait, from any thread or signal handler."""
        try:
            os.write(self._ringer, b".")
        except BlockingIOError:
            return

    def close(self) -> None:
        if self._fd >= 0:
            self._inotify.close()
        os.close(self._bell)
        os.close(self._ringer)
