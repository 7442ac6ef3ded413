"""Whose turn it is to write: one of all threads and processes that share a directory, on one machine or several."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path


class Turn:
    """Held with `with`, also inside of itself. The lock ends with its process. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0
        self._fd = -1

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            if self._depth == 0:
                self._lock()
        except OSError:
            self._threads.release()
            raise
        self._depth += 1

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._threads.release()

    def _lock(self) -> None:
        if self._fd < 0:
            # Nobody else's: whoever may only read could hold up who writes.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def close(self) -> None:
        with self._threads:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
