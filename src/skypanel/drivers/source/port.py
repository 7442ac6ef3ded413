"""Where code comes from: a Git repository by URL, without trusting anything in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skypanel.kit.secret import Secret


class FetchFailed(Exception):
    """`code` is stable (`git_refused`, `git_unreachable`, `git_auth`, `git_branch_missing`, `git_empty`, `git_failed`);
    the message is one sentence that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Credentials:
    """What opens one host's private repositories. A source is made with them by host name; nobody names them per call,
    so that no URL of a tenant's can ask for them."""

    username: str | None = None
    token: Secret | None = None
    ssh_key: Secret | None = None


@dataclass(frozen=True)
class Commit:
    sha: str  # 40 hex digits
    message: str  # first line
    author: str
    branch: str


@dataclass(frozen=True)
class TreeEntry:
    path: str
    mode: str  # git's: 100644, 100755, 120000 (link), 160000 (submodule)
    sha: str
    size: int


class Source(Protocol):
    def check_url(self, url: str) -> None:
        """Refuses what must not be fetched, before anything is asked of the network: other transports than https, http
        and ssh, option injection, control characters, hosts on private addresses. Raises FetchFailed `git_refused`."""
        ...

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
        """Updates the mirror of that name (one per application), pins the branch's newest commit, or `commit`."""
        ...

    def tree(self, mirror: str, commit: str) -> Sequence[TreeEntry]:
        """Every file of the commit, read from Git's objects: nothing is checked out, no link is followed."""
        ...

    def read(self, mirror: str, entry: TreeEntry, *, limit: int = 1_000_000) -> bytes: ...

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
        """Writes the commit's files into the empty directory `to`, owned by `uid`; submodules and LFS too."""
        ...

    def remove(self, mirror: str) -> None: ...
