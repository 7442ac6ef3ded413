"""How much a directory holds that a tenant may have written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from skypanel.drivers import shell


def size_of(directory: Path) -> int:
    """Bytes on disk of everything below, links not followed, hard links counted once."""
    counted = _scanned(directory)
    return _by_du(directory) if counted is None else counted


def _by_du(directory: Path) -> int:
    found = shell.run(["du", "-s", "-x", "-B1", "--", directory], check=False, timeout_s=600).stdout.split()
    return int(found[0]) if found else 0


def _scanned(directory: Path) -> int | None:
    """None: paths down there are too long for a system call, which must hide nothing."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [os.fspath(directory)]
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except OSError as error:  # removed or closed by its owner meanwhile
            if error.errno == errno.ENAMETOOLONG:
                return None
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    if error.errno == errno.ENAMETOOLONG:
                        return None
                    continue
                if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return total
