"""A layer unpacked again from its archive: nothing leaves the directory, whatever the archive says."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO

from skypanel.drivers.builder.sandbox.layout import make_owned, remove_tree
from skypanel.drivers.builder.sandbox.pack import entries


class UnsafeArchive(Exception):
    """An entry that no build of ours would have written."""


def unpack_layer(archive: Path, layer: str, to: Path, *, uid: int) -> None:
    """Makes the directory `to`, at once complete. Raises UnsafeArchive, or ValueError when the layer is not in it."""
    draft = to.with_name(f".{to.name}.unpacking")
    remove_tree(draft)
    make_owned(draft, uid)
    try:
        root = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            directories: list[tuple[str, int, int]] = []
            for entry, content in entries(archive, layer):
                _write(root, entry, content, uid)
                if entry.isdir():
                    directories.append((entry.name, entry.mode & 0o777, int(entry.mtime)))
            for name, mode, mtime in reversed(directories):
                (draft / name).chmod(mode)
                os.utime(draft / name, (mtime, mtime))
        finally:
            os.close(root)
        draft.replace(to)
    finally:
        remove_tree(draft)


def _write(root: int, entry: tarfile.TarInfo, content: IO[bytes] | None, uid: int) -> None:
    parts = entry.name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise UnsafeArchive(f"the archive holds the path {entry.name!r}")
    descriptor = os.dup(root)
    try:
        for part in parts[:-1]:
            following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = following
        name = parts[-1]
        if entry.isdir():
            os.mkdir(name, 0o755, dir_fd=descriptor)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=descriptor)
        elif entry.isreg():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(name, flags, entry.mode & 0o777, dir_fd=descriptor), "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, 1 << 20)
                os.fchmod(file.fileno(), entry.mode & 0o777)
        else:
            raise UnsafeArchive(f"{entry.name!r} is neither a file, a directory nor a link")
        if os.geteuid() == 0:
            os.chown(name, uid, uid, dir_fd=descriptor, follow_symlinks=False)
        if entry.isreg():
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=descriptor, follow_symlinks=False)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise UnsafeArchive(f"the archive's entry {entry.name!r} leads nowhere") from error
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link where a directory should be
            raise UnsafeArchive(f"the archive's entry {entry.name!r} leads through a link") from error
        raise
    finally:
        os.close(descriptor)
