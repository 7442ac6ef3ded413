"""How much directories hold, checked often and cheaply."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from skypanel.drivers.usage import size_of

CHECK_S = 0.5
RECOUNT_S = 5.0


class DirectoriesLimit:
    """Counting thousands of files is dear, asking the file system how full it is costs nothing: as long as that has
    not grown by what was left, the directories cannot be too large. Others' deletions can hide growth: hence the
    recount now and then."""

    def __init__(self, directories: Sequence[Path], limit_bytes: int) -> None:
        self._directories = directories
        self._limit = limit_bytes
        self._next_check = 0.0
        self._next_count = 0.0
        self._counted = 0
        self._used_then: list[int] = []

    def exceeded(self, *, at_once: bool = False) -> bool:
        """`at_once`: counts now, whenever the last count was."""
        now = time.monotonic()
        if not self._directories or (now < self._next_check and not at_once):
            return False
        self._next_check = now + CHECK_S
        used = [self._used(directory) for directory in self._directories]
        grown = sum(max(0, a - b) for a, b in zip(used, self._used_then, strict=False))
        if not at_once and now < self._next_count and self._counted + grown <= self._limit:
            return False
        self._counted = sum(size_of(directory) for directory in self._directories)
        self._used_then = used
        self._next_count = now + RECOUNT_S
        return self._counted > self._limit

    @staticmethod
    def _used(directory: Path) -> int:
        try:
            status = os.statvfs(directory)
        except FileNotFoundError:
            return 0
        return (status.f_blocks - status.f_bfree) * status.f_frsize
