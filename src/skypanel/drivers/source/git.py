"""The real source: incremental shallow mirrors, one per application, kept by the `git` program.

Whatever a repository holds is data here: git runs as the application's user inside the mirror, with no configuration
but ours, and the files are written by us from the objects it prints. See docs/decisions/0004-builds.md.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skypanel.drivers.source import submodules
from skypanel.drivers.source.addresses import Resolve, pinned, system_resolve
from skypanel.drivers.source.checkout import write_tree
from skypanel.drivers.source.command import GitProcess, Outcome, enter, ssh_environment, transport_config
from skypanel.drivers.source.failures import branch_missing, explain
from skypanel.drivers.source.objects import ObjectReader, list_tree, read_blob
from skypanel.drivers.source.port import Commit, Credentials, FetchFailed, TreeEntry
from skypanel.drivers.source.submodules import Allowance
from skypanel.drivers.source.urls import GitUrl, check_branch, check_commit, is_branch, parse

Log = Callable[[str], None]
KEPT_ENTRIES = 200_000  # files of trees that are kept in memory
MAX_PACKS = 30  # beyond that a mirror is made anew: cheaper than repacking, since it is shallow
_HEAD_FILE = "skypanel-default-branch"
_logger = logging.getLogger(__name__)


class GitSource:
    """`credentials`: by host name; that host alone gets them, and never over http. `passthrough`: certificates and
    proxies."""

    def __init__(
        self,
        *,
        mirrors_dir: Path,
        allowed_private_hosts: Sequence[str] = (),
        credentials: Mapping[str, Credentials] | None = None,
        passthrough: Mapping[str, str] | None = None,
        max_bytes: int = 2_000_000_000,
        timeout_s: float = 300,
        resolve: Resolve = system_resolve,
    ) -> None:
        self._mirrors = mirrors_dir
        self._allowed = tuple(allowed_private_hosts)
        self._credentials = {host.lower(): found for host, found in (credentials or {}).items()}
        self._passthrough = dict(passthrough or {})
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._allowances: dict[str, Allowance] = {}  # of checkouts that go on, for all of their submodules
        self._trees: OrderedDict[tuple[str, str], tuple[TreeEntry, ...]] = OrderedDict()

    def check_url(self, url: str) -> None:
        if parse(url).scheme == "http":
            _logger.warning("a repository is fetched over http: whoever is on the way can change it")

    def fetch(
        self,
        url: str,
        *,
        branch: str,
        mirror: str,
        uid: int,
        commit: str | None = None,
        log: Log,
        cancelled: Callable[[], bool],
    ) -> Commit:
        """Updates the mirror of that name and pins the commit. One git process where the mirror exists."""
        parsed = parse(url)
        check_branch(branch)
        check_commit(commit)
        if parsed.scheme == "http":
            log(
                f"Warning: {parsed.clean} is fetched over http, without encryption. Use https where the host offers it."
            )
        git = self._mirror(mirror, uid)
        if commit is not None and self._has(git, commit):
            return self._describe(git, commit, branch)
        remote = _Remote(self, git, parsed, cancelled)
        try:
            name = branch or self._default_branch(git, remote)
            remote.fetch_branch(name)
            sha = "refs/skypanel/branch"
            if commit is not None:
                if not self._has(git, commit):
                    remote.fetch_commit(commit)
                sha = commit
        finally:
            remote.forget_key()
        return self._describe(git, sha, name)

    def tree(self, mirror: str, commit: str) -> Sequence[TreeEntry]:
        key = (mirror, commit)
        entries = self._trees.get(key)
        if entries is None:
            entries = self._trees[key] = list_tree(self._existing(mirror), commit)
            while len(self._trees) > 1 and sum(len(kept) for kept in self._trees.values()) > KEPT_ENTRIES:
                self._trees.popitem(last=False)
        return entries

    def read(self, mirror: str, entry: TreeEntry, *, limit: int = 1_000_000) -> bytes:
        return read_blob(self._existing(mirror), entry.sha, limit=limit)

    def checkout(
        self,
        mirror: str,
        commit: str,
        *,
        to: Path,
        uid: int,
        url: str,
        log: Log,
    ) -> None:
        git = self._existing(mirror)
        entries = self.tree(mirror, commit)
        if sum(entry.size for entry in entries) > self._max_bytes:
            raise FetchFailed(
                "git_too_large", f"The files are larger than {self._max_bytes // 1_000_000} MB: remove some."
            )
        files = [entry for entry in entries if entry.mode != "160000"]
        reader = ObjectReader(git)
        try:
            contents = reader.read_all([entry.sha for entry in files])
            pointers = write_tree(to, zip(files, contents, strict=True), uid=uid)
        finally:
            reader.close()
        if pointers:
            log(f"Warning: {len(pointers)} files are kept in Git LFS, which is not fetched: they stay pointers.")
        if any(entry.mode == "160000" for entry in entries):
            self._allowances.setdefault(mirror.split("--", 1)[0], Allowance(self._timeout_s))
            try:
                submodules.checkout_all(
                    self, entries, mirror=mirror, to=to, uid=uid, url=url, log=log,
                    spend=self._allowances[mirror.split("--", 1)[0]].spend,
                )  # fmt: skip
            finally:
                if "--" not in mirror:
                    del self._allowances[mirror]

    def remove(self, mirror: str) -> None:
        for directory in [self._path(mirror), *self._mirrors.glob(f"{mirror}--*.git")]:
            shutil.rmtree(directory, ignore_errors=True)
        for key in [key for key in self._trees if key[0] == mirror or key[0].startswith(f"{mirror}--")]:
            del self._trees[key]

    def _path(self, mirror: str) -> Path:
        if not mirror or "/" in mirror or mirror.startswith((".", "-")):
            raise ValueError(f"{mirror!r} is no name of a mirror")
        return self._mirrors / f"{mirror}.git"

    def _existing(self, mirror: str) -> GitProcess:
        path = self._path(mirror)
        try:
            owner = path.stat().st_uid
        except FileNotFoundError as error:
            raise FetchFailed("git_failed", "The mirror of the repository is gone: deploy again.") from error
        return self._process(path, owner)

    def _process(self, path: Path, uid: int) -> GitProcess:
        return GitProcess(path, uid, self._passthrough, self._max_bytes)

    def _mirror(self, mirror: str, uid: int) -> GitProcess:
        path = self._path(mirror)
        packs = path / "objects" / "pack"
        if packs.is_dir() and sum(1 for _ in packs.glob("*.pack")) > MAX_PACKS:
            shutil.rmtree(path, ignore_errors=True)
        if not (path / "HEAD").exists():
            _create(path)
        if os.geteuid() == 0 and path.stat().st_uid != uid:
            _chown_tree(path, uid)
        return self._process(path, uid)

    def _has(self, git: GitProcess, commit: str) -> bool:
        return git.run(["cat-file", "-e", f"{commit}^{{tree}}"]).code == 0

    def _describe(self, git: GitProcess, sha: str, branch: str) -> Commit:
        outcome = git.run(["log", "-1", "--no-show-signature", "--format=%H%x00%s%x00%an <%ae>", sha, "--"])
        if outcome.code != 0:
            raise FetchFailed("git_failed", f"The commit {sha[:12]} is not in the repository: push it first.")
        full, subject, author = outcome.stdout.decode(errors="replace").rstrip("\n").split("\0")
        return Commit(sha=full, message=subject[:500], author=author[:300], branch=branch)

    def _default_branch(self, git: GitProcess, remote: _Remote) -> str:
        """Asked once per mirror: it hardly ever changes, and asking costs a round trip."""
        known = git.mirror / _HEAD_FILE
        if known.exists():
            return known.read_text()
        name = remote.default_branch()
        check_branch(name)  # the remote's word, about to become part of an argument
        known.write_text(name)
        return name


class _Remote:
    """One URL as seen from one mirror during one fetch: resolved and checked once."""

    def __init__(
        self,
        source: GitSource,
        git: GitProcess,
        url: GitUrl,
        cancelled: Callable[[], bool],
    ) -> None:
        credentials = source._credentials.get(url.host.lower()) if url.scheme != "http" else None
        address = pinned(url.host, url.port, allowed=source._allowed, resolve=source._resolve)
        self._git, self._url, self._cancelled, self._timeout_s = git, url, cancelled, source._timeout_s
        self._config = transport_config(url, address, credentials)
        self._env: dict[str, str] = {}
        self._prefix: list[str] = []
        self._key: Path | None = None
        if url.scheme == "ssh":
            if credentials is not None and credentials.ssh_key is not None:
                self._key = git.mirror / "skypanel-ssh-key"
                _write_private(self._key, credentials.ssh_key.reveal().rstrip("\n") + "\n", git.uid)
            self._env = ssh_environment(url, address, key=self._key.name if self._key else None)
            if os.geteuid() == 0:
                passwd = f"root:x:0:0:root:/:/bin/false\nskypanel:x:{git.uid}:{git.uid}::/nonexistent:/bin/false\n"
                _write_private(git.mirror / "skypanel-passwd", passwd, 0, mode=0o644)
                self._prefix = enter(git.uid, known=True)

    def forget_key(self) -> None:
        if self._key is not None:
            self._key.unlink(missing_ok=True)

    def fetch_branch(self, branch: str) -> None:
        outcome = self._fetch(f"+refs/heads/{branch}:refs/skypanel/branch")
        if outcome.code == 0:
            return
        if branch_missing(outcome):
            raise self._missing(branch)
        raise self._explained(outcome)

    def fetch_commit(self, commit: str) -> None:
        outcome = self._fetch(f"+{commit}:refs/skypanel/commit")
        if outcome.code == 0:
            return
        outcome = self._run(
            ["fetch", "--no-tags", "--quiet", "--unshallow", self._url.clean, "+refs/heads/*:refs/skypanel/all/*"]
        )
        if outcome.code != 0:
            raise self._explained(outcome)

    def default_branch(self) -> str:
        outcome = self._run(["ls-remote", "--symref", self._url.clean, "HEAD"])
        if outcome.code != 0:
            raise self._explained(outcome)
        for line in outcome.stdout.decode(errors="replace").splitlines():
            if line.startswith("ref: refs/heads/") and line.endswith("\tHEAD"):
                return line.removeprefix("ref: refs/heads/").removesuffix("\tHEAD")
        branches = self._branches()
        if not branches:
            raise _empty(self._url)
        raise FetchFailed(
            "git_branch_missing",
            f"The repository's default branch does not exist. Set the branch to one of: {', '.join(branches[:10])}.",
        )

    def _missing(self, branch: str) -> FetchFailed:
        branches = self._branches()
        if not branches:
            return _empty(self._url)
        return FetchFailed(
            "git_branch_missing",
            f"The repository has no branch {branch!r}. Set the branch to one of: {', '.join(branches[:10])}.",
        )

    def _branches(self) -> list[str]:
        outcome = self._run(["ls-remote", "--heads", self._url.clean])
        if outcome.code != 0:
            raise self._explained(outcome)
        lines = outcome.stdout.decode(errors="replace").splitlines()
        names = [line.split("\t", 1)[1].removeprefix("refs/heads/") for line in lines if "\t" in line]
        return [name for name in names if is_branch(name)]  # the remote's word, about to be shown

    def _fetch(self, refspec: str) -> Outcome:
        return self._run(
            ["fetch", "--no-tags", "--quiet", "--no-write-fetch-head", "--depth=1", self._url.clean, refspec]
        )

    def _run(self, arguments: list[str]) -> Outcome:
        return self._git.run(
            arguments,
            config=self._config,
            env=self._env,
            prefix=self._prefix,
            timeout_s=self._timeout_s,
            cancelled=self._cancelled,
            limited=True,
        )

    def _explained(self, outcome: Outcome) -> FetchFailed:
        return explain(outcome, url=self._url.clean, max_bytes=self._git.max_bytes)


def _empty(url: GitUrl) -> FetchFailed:
    return FetchFailed("git_empty", f"{url.clean} has no commits yet: push your code to it first.")


def _create(path: Path) -> None:
    """What `git init --bare` would make, without a process and without templates."""
    shutil.rmtree(path, ignore_errors=True)
    for directory in ("objects/pack", "objects/info", "refs/heads"):
        (path / directory).mkdir(parents=True, exist_ok=True)
    (path / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n")
    (path / "HEAD").write_text("ref: refs/heads/none\n")


def _chown_tree(path: Path, uid: int) -> None:
    for directory, _, files in os.walk(path):
        os.chown(directory, uid, uid, follow_symlinks=False)
        for name in files:
            os.chown(Path(directory) / name, uid, uid, follow_symlinks=False)


def _write_private(path: Path, text: str, uid: int, *, mode: int = 0o600) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), uid, uid)
