"""Reading a commit from Git's objects: nothing is checked out by git, no filter, hook or attribute is run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import IO

from skypanel.drivers.source.command import GitProcess
from skypanel.drivers.source.port import FetchFailed, TreeEntry

FORBIDDEN_NAMES = {"", ".", ".."}
MAX_FILES = 200_000  # a tree that names another one ten times, ten levels deep, has as many as it likes
CHUNK = 1 << 20


def list_tree(git: GitProcess, commit: str) -> tuple[TreeEntry, ...]:
    outcome = git.run(["ls-tree", "-r", "-l", "-z", "--full-tree", commit])
    if outcome.too_much or outcome.stdout.count(b"\0") > MAX_FILES:
        raise FetchFailed("git_too_large", f"The repository holds more than {MAX_FILES:,} files: remove some.")
    if outcome.code != 0:
        raise FetchFailed("git_failed", f"The commit {commit[:12]} cannot be read from the mirror: deploy again.")
    entries = []
    for record in outcome.stdout.split(b"\0"):
        if not record:
            continue
        meta, _, raw_path = record.partition(b"\t")
        mode, _kind, sha, size = meta.decode().split()
        path = raw_path.decode("utf-8", "surrogateescape")
        if not safe_path(path):
            raise FetchFailed("git_refused", f"The repository holds a path that is not allowed: {path[:100]!r}.")
        entries.append(TreeEntry(path, mode, sha, 0 if size == "-" else int(size)))
    return tuple(entries)


def safe_path(path: str) -> bool:
    """Relative, without `..`, and not into anything that git itself would take for a repository's insides."""
    parts = path.split("/")
    return not any(part in FORBIDDEN_NAMES or part.lower() == ".git" for part in parts) and len(path) < 4000


class ObjectReader:
    """One `git cat-file --batch` process: a commit's files in the order they are asked for."""

    def __init__(self, git: GitProcess) -> None:
        self._process = git.start(["cat-file", "--batch", "--buffer"])

    def read_all(self, shas: list[str]) -> Iterator[Iterator[bytes]]:
        """Yields each object's content in turn, in pieces, to be read before the next one. git reads ahead while we
        write: it is told everything at first, from a thread of its own, because both pipes are of limited size."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None

        def ask() -> None:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError, ValueError):
                process.stdin.write("".join(f"{sha}\n" for sha in shas).encode())
                process.stdin.close()

        asker = threading.Thread(target=ask, daemon=True)
        asker.start()
        for sha in shas:
            header = process.stdout.readline().split()
            if len(header) != 3:
                raise FetchFailed("git_failed", f"The object {sha[:12]} is missing from the mirror: deploy again.")
            pieces = _pieces(process.stdout, int(header[2]))
            yield pieces
            for _ in pieces:  # what was not wanted
                pass
            process.stdout.read(1)
        asker.join()

    def close(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """A blob of a few packed kilobytes may be gigabytes of zeros: it is never held as a whole."""
    while size:
        piece = stream.read(min(size, CHUNK))
        if not piece:
            raise FetchFailed("git_failed", "Reading the repository's files ended early: deploy again.")
        size -= len(piece)
        yield piece


def read_blob(git: GitProcess, sha: str, *, limit: int) -> bytes:
    """Its first `limit` bytes."""
    outcome = git.run(["cat-file", "blob", sha], max_output=limit)
    if outcome.code != 0 and not outcome.too_much:
        raise FetchFailed("git_failed", f"The object {sha[:12]} is missing from the mirror: deploy again.")
    return outcome.stdout[:limit]
