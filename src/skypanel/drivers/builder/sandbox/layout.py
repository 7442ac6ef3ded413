"""Where a builder keeps things below the data directory, and safe ways to read and remove what tenants wrote."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers import shell

REMOVE_S = 600
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def checked(identifier: str) -> str:
    """An id that is used as a file name."""
    if not _ID.fullmatch(identifier):
        raise ValueError(f"{identifier!r} cannot name a directory")
    return identifier


@dataclass(frozen=True)
class Layout:
    data_dir: Path

    @property
    def builds(self) -> Path:
        return self.data_dir / "builds"

    def build(self, build_id: str) -> Path:
        return self.builds / checked(build_id)

    def layers(self, app_id: str) -> Path:
        return self.data_dir / "layers" / checked(app_id)

    def layer(self, name: str) -> Path:
        """`<app id>/<layer>` -> its directory."""
        app_id, _, layer = name.partition("/")
        return self.layers(app_id) / checked(layer)

    def fragment(self, name: str) -> Path:
        path = self.layer(name)
        return path.with_name(f"{path.name}.tar.zst")

    def slugs(self, app_id: str) -> Path:
        return self.data_dir / "slugs" / checked(app_id)

    def slug(self, app_id: str, digest: str) -> Path:
        return self.slugs(app_id) / f"{checked(digest.removeprefix('sha256:'))}.tar.zst"

    def cache(self, app_id: str) -> Path:
        return self.data_dir / "cache" / checked(app_id)


def own(path: Path, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, uid, follow_symlinks=False)


def make_owned(path: Path, uid: int, *, mode: int = 0o755) -> Path:
    """A new directory that belongs to the application's user. Its parents stay ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
    own(path, uid)
    return path


def remove_tree(path: Path) -> None:
    """Removes it whatever rights its directories have; never follows a link. Absent: fine."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.is_dir():
        with contextlib.suppress(OSError, RecursionError):  # deeper than Python goes, closed, or changing: `rm` tells
            shutil.rmtree(path)
            return
        shell.run(["chmod", "-R", "u+rwX", "--", path], check=False, timeout_s=REMOVE_S)
        shell.run(["rm", "-rf", "--", path], check=False, timeout_s=REMOVE_S)


def read_beneath(root: Path, path: str, *, limit: int = 1_000_000) -> bytes | None:
    """A regular file below a directory that a tenant wrote: no link is followed on the way. None: no such file."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        parts = path.split("/")
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (0 if last else os.O_DIRECTORY)
            try:
                following = os.open(part, flags, dir_fd=descriptor)
            except OSError:
                return None
            os.close(descriptor)
            descriptor = following
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(limit)
    finally:
        os.close(descriptor)
