"""How much a directory holds that a tenant may have written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from skypanel.drivers import shell

AN_ENTRY = 4096  # of each: millions of empty files take no block, but an inode of the machine's own


def size_of(directory: Path) -> int:
    """Bytes on disk of everything below, links not followed, hard links counted once; an empty entry is no nothing."""
    counted = _scanned(directory)
    return _by_du(directory) if counted is None else counted


def _by_du(directory: Path) -> int:
    blocks, inodes = (
        shell.run(["du", "-s", "-x", *unit, "--", directory], check=False, timeout_s=600).stdout.split()
        for unit in (["-B1"], ["--inodes"])
    )
    return max(int(blocks[0]), int(inodes[0]) * AN_ENTRY) if blocks and inodes else 0


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
                total += max(status.st_blocks * 512, AN_ENTRY)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return total
