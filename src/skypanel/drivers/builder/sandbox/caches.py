"""Build caches: one directory per application, owned by its user, thrown away when old, too large or broken."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.builder.sandbox.layout import Layout, make_owned, remove_tree
from skypanel.drivers.usage import size_of


@dataclass(frozen=True)
class CacheSettings:
    enabled: bool = True
    ttl_s: float = 14 * 24 * 3600
    max_bytes: int = 2048 * 1_000_000


def open_cache(layout: Layout, app_id: str, *, uid: int, work: Path, settings: CacheSettings, wanted: bool) -> Path:
    """The directory that a build writes its cache to: the kept one, or one that goes with the build."""
    if not (settings.enabled and wanted):
        return make_owned(work / "cache", uid)
    path = layout.cache(app_id)
    if not path.is_dir() or path.is_symlink():
        remove_tree(path)
    make_owned(path, uid)
    os.utime(path)
    return path


def retain(layout: Layout, settings: CacheSettings, *, now: Callable[[], float] = time.time) -> int:
    """Removes caches that were not used for too long. Returns how many went."""
    removed = 0
    root = layout.data_dir / "cache"
    for path in root.iterdir() if root.is_dir() else ():
        if not settings.enabled or now() - path.lstat().st_mtime > settings.ttl_s:
            remove_tree(path)
            removed += 1
    return removed


def trim(layout: Layout, app_id: str, settings: CacheSettings) -> bool:
    """Removes an application's cache when it has outgrown its limit: it comes back smaller with the next build."""
    path = layout.cache(app_id)
    if path.is_dir() and size_of(path) > settings.max_bytes:
        remove_tree(path)
        return True
    return False
