"""Files of a commit written to disk by us: with rights and links as in Git, and never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from skypanel.drivers.source.port import FetchFailed, TreeEntry

MAX_LINK = 4095  # what a system takes as the target of one
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


class TreeWriter:
    """Writes below one directory that nobody else can enter yet. Directories are opened one by one without following
    links, so that a tree that names `a` both as a link and as a directory leads nowhere."""

    def __init__(self, root: Path, *, uid: int) -> None:
        self._uid = uid if os.geteuid() == 0 else -1
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if self._uid != -1:
            os.fchown(self._root, self._uid, self._uid)
        self._directories: dict[str, int] = {"": self._root}
        self._order: list[str] = []

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._directories.values():
            os.close(descriptor)

    def directory(self, path: str) -> int:
        """A descriptor of the directory, made where missing. A bounded number is kept open."""
        if path in self._directories:
            return self._directories[path]
        parent_path, _, name = path.rpartition("/")
        parent = self.directory(parent_path)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            made = True
        except FileExistsError:
            made = False
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        if made and self._uid != -1:
            os.fchown(descriptor, self._uid, self._uid)
        if len(self._order) >= 200:
            self._forget()
        self._directories[path] = descriptor
        self._order.append(path)
        return descriptor

    def _forget(self) -> None:
        for path in self._order:
            os.close(self._directories.pop(path))
        self._order.clear()

    def file(self, path: str, content: Iterable[bytes], *, executable: bool = False) -> None:
        parent, _, name = path.rpartition("/")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(name, flags, 0o755 if executable else 0o644, dir_fd=self.directory(parent))
        try:
            for piece in content:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
            if self._uid != -1:
                os.fchown(descriptor, self._uid, self._uid)
        finally:
            os.close(descriptor)

    def link(self, path: str, target: bytes) -> None:
        parent, _, name = path.rpartition("/")
        descriptor = self.directory(parent)
        os.symlink(target, name.encode("utf-8", "surrogateescape"), dir_fd=descriptor)
        if self._uid != -1:
            os.chown(name, self._uid, self._uid, dir_fd=descriptor, follow_symlinks=False)


def write_tree(
    root: Path, entries: Iterable[tuple[TreeEntry, Iterable[bytes]]], *, uid: int, below: str = ""
) -> list[TreeEntry]:
    """Writes files at once, piece by piece, and links at the end. Returns the entries that are LFS pointers."""
    pointers: list[TreeEntry] = []
    links: list[tuple[str, bytes]] = []
    with TreeWriter(root, uid=uid) as writer:
        try:
            for entry, pieces in entries:
                content, path = pieces, below + entry.path
                if entry.mode == "120000":
                    if entry.size > MAX_LINK:
                        raise FetchFailed("git_refused", f"The link {entry.path[:100]!r} leads too far: remove it.")
                    links.append((path, b"".join(content)))
                    continue
                if entry.size < 1024:
                    content = [b"".join(content)]
                    if content[0].startswith(LFS_POINTER):
                        pointers.append(entry)
                writer.file(path, content, executable=entry.mode == "100755")
            for path, target in links:
                writer.link(path, target)
        except (FileExistsError, NotADirectoryError, ValueError) as error:
            raise FetchFailed(
                "git_refused", f"The repository's tree names a path twice ({error}): repair it."
            ) from error
        except OSError as error:
            raise FetchFailed("git_failed", f"The repository's files cannot be written: {error.strerror}.") from error
    return pointers
