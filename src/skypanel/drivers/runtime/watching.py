"""Being told about changes in a directory; off Linux, looking every now and then."""

from __future__ import annotations

import sys
import time
from pathlib import Path

POLL_S = 0.05


class DirectoryWatch:
    def __init__(self, directory: Path) -> None:
        """Changes from this moment on are not missed."""
        if sys.platform == "linux":
            from inotify_simple import INotify, flags

            self._inotify = INotify()
            self._inotify.add_watch(str(directory), flags.MODIFY | flags.MOVED_TO | flags.CREATE)

    def wait(self, timeout_s: float) -> None:
        """Returns after a change or the time."""
        if sys.platform == "linux":
            self._inotify.read(timeout=max(1, int(timeout_s * 1000)))
        else:
            time.sleep(min(timeout_s, POLL_S))

    def close(self) -> None:
        if sys.platform == "linux":
            self._inotify.close()
