"""A complete source in memory: repositories are commits made of files, no git and no network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skypanel.drivers.source.checkout import write_tree
from skypanel.drivers.source.port import Commit, FetchFailed, TreeEntry
from skypanel.drivers.source.urls import check_branch, check_commit, parse


@dataclass(frozen=True)
class File:
    content: bytes
    mode: str = "100644"  # 100755: executable, 120000: a link, its content the target


@dataclass
class Repository:
    """Branch -> its commits, oldest first; commit -> its files."""

    default: str = "main"
    branches: dict[str, list[str]] = field(default_factory=dict)
    commits: dict[str, tuple[Commit, Mapping[str, File]]] = field(default_factory=dict)
    token: str | None = None


class MemorySource:
    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.unreachable: set[str] = set()
        self._mirrors: dict[str, dict[str, Mapping[str, File]]] = {}

    def create(self, url: str, *, default: str = "main", token: str | None = None) -> Repository:
        """An empty repository at that URL."""
        repository = self.repositories[parse(url).clean] = Repository(default=default, token=token)
        return repository

    def commit(
        self,
        url: str,
        files: Mapping[str, str | bytes | File],
        *,
        message: str = "Change",
        author: str = "Ada <ada@example.org>",
        branch: str | None = None,
    ) -> str:
        """A commit that holds exactly these files. Returns its id."""
        address = parse(url).clean
        repository = self.repositories.get(address) or self.create(url)
        kept = {path: _file(content) for path, content in files.items()}
        name = branch or repository.default
        line = repository.branches.setdefault(name, [])
        seed = repr((sorted(kept.items()), message, author, line[-1:], name))
        sha = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
        repository.commits[sha] = (Commit(sha, message.splitlines()[0], author, name), kept)
        line.append(sha)
        return sha

    def check_url(self, url: str) -> None:
        parse(url)

    def fetch(
        self,
        url: str,
        *,
        branch: str,
        mirror: str,
        uid: int,
        commit: str | None = None,
        log: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Commit:
        del uid
        address = parse(url)
        check_branch(branch)
        check_commit(commit)
        if address.scheme == "http":
            log(f"Warning: {address.clean} is fetched over http, without encryption.")
        if cancelled():
            raise FetchFailed("git_cancelled", "Fetching was cancelled.")
        repository = self._repository(url)
        name = branch or repository.default
        if not repository.branches:
            raise FetchFailed("git_empty", f"{address.clean} has no commits yet: push your code to it first.")
        if name not in repository.branches:
            there = ", ".join(sorted(repository.branches))
            raise FetchFailed(
                "git_branch_missing", f"The repository has no branch {name!r}. Set it to one of: {there}."
            )
        sha = commit or repository.branches[name][-1]
        if sha not in repository.commits:
            raise FetchFailed("git_failed", f"The commit {sha[:12]} is not in the repository: push it first.")
        found, files = repository.commits[sha]
        self._mirrors.setdefault(mirror, {})[sha] = files
        return Commit(sha, found.message, found.author, name)

    def tree(self, mirror: str, commit: str) -> Sequence[TreeEntry]:
        files = self._files(mirror, commit)
        return [TreeEntry(path, file.mode, _sha(file), len(file.content)) for path, file in sorted(files.items())]

    def read(self, mirror: str, entry: TreeEntry, *, limit: int = 1_000_000) -> bytes:
        for files in self._mirrors.get(mirror, {}).values():
            for file in files.values():
                if _sha(file) == entry.sha:
                    return file.content[:limit]
        raise FetchFailed("git_failed", f"The object {entry.sha[:12]} is missing from the mirror: deploy again.")

    def checkout(
        self,
        mirror: str,
        commit: str,
        *,
        to: Path,
        uid: int,
        url: str,
        log: Callable[[str], None],
    ) -> None:
        del url, log
        files = self._files(mirror, commit)
        entries = [(entry, [files[entry.path].content]) for entry in self.tree(mirror, commit)]
        write_tree(to, entries, uid=uid if os.geteuid() == 0 else os.getuid())

    def remove(self, mirror: str) -> None:
        for name in [name for name in self._mirrors if name == mirror or name.startswith(f"{mirror}--")]:
            del self._mirrors[name]

    def _repository(self, url: str) -> Repository:
        address = parse(url)
        if address.clean in self.unreachable:
            raise FetchFailed("git_unreachable", f"{address.clean} cannot be reached: check the URL and try again.")
        repository = self.repositories.get(address.clean)
        given = address.password
        allowed = repository is not None and (
            repository.token is None or (given is not None and given.reveal() == repository.token)
        )
        if repository is None or not allowed:
            raise FetchFailed("git_auth", f"{address.clean} was not found or needs credentials: check the URL.")
        return repository

    def _files(self, mirror: str, commit: str) -> Mapping[str, File]:
        try:
            return self._mirrors[mirror][commit]
        except KeyError as error:
            raise FetchFailed("git_failed", "The mirror of the repository is gone: deploy again.") from error


def _file(content: str | bytes | File) -> File:
    if isinstance(content, File):
        return content
    return File(content.encode() if isinstance(content, str) else content)


def _sha(file: File) -> str:
    header = f"blob {len(file.content)}\0".encode()
    return hashlib.sha1(header + file.content, usedforsecurity=False).hexdigest()
