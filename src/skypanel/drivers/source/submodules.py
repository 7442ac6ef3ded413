"""Submodules of a checkout: fetched by us, every URL checked as the application's own is."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skypanel.drivers.source.objects import safe_path
from skypanel.drivers.source.port import FetchFailed, Source, TreeEntry
from skypanel.drivers.source.urls import parse, resolve_relative

MAX_DEPTH = 4
MAX_SUBMODULES = 100  # of all depths together
# Of a stripped line; nothing in it is tried twice.
_LINE = re.compile(r"""\[submodule\s+"(?P<name>[^"]*)"\]|(?P<key>path|url)\s*=(?P<value>.*)""")


class Allowance:
    """Of one checkout: a repository of thousands of slow submodules would hold a build's place for days."""

    def __init__(self, seconds: float) -> None:
        self._left, self._deadline = MAX_SUBMODULES, time.monotonic() + seconds

    def spend(self) -> None:
        """One more submodule. Raises FetchFailed."""
        self._left -= 1
        if self._left < 0:
            raise FetchFailed("git_refused", f"The repository has more than {MAX_SUBMODULES} submodules: remove some.")
        if time.monotonic() > self._deadline:
            raise FetchFailed("git_unreachable", "Fetching the submodules took too long: try again, or remove some.")


def parse_gitmodules(text: str) -> dict[str, str]:
    """Path -> URL. Only the two keys that a checkout needs; nothing else in that file is obeyed."""
    modules: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        if match["name"] is not None:
            current = modules.setdefault(match["name"], {})
        else:
            current[match["key"]] = match["value"].strip().strip('"')
    return {module["path"]: module["url"] for module in modules.values() if {"path", "url"} <= module.keys()}


def checkout_all(
    source: Source,
    entries: Sequence[TreeEntry],
    *,
    mirror: str,
    to: Path,
    uid: int,
    url: str,
    log: Callable[[str], None],
    spend: Callable[[], None],
) -> None:
    """`spend` is asked before each one. Raises FetchFailed when a submodule is not declared, not allowed or cannot be
    fetched."""
    depth = mirror.count("--")
    if depth >= MAX_DEPTH:
        raise FetchFailed("git_refused", f"Submodules are nested more than {MAX_DEPTH} deep: flatten them.")
    declared: dict[str, str] = {}
    for entry in entries:
        if entry.path == ".gitmodules" and entry.mode in ("100644", "100755"):
            declared = parse_gitmodules(source.read(mirror, entry).decode(errors="replace"))
    for entry in (entry for entry in entries if entry.mode == "160000"):
        if entry.path not in declared:
            log(f"Warning: {entry.path} is a submodule without a URL in .gitmodules; it stays empty.")
            continue
        target = resolve_relative(url, declared[entry.path])
        spend()
        log(f"Submodule {entry.path} from {parse(target).clean}")
        name = f"{mirror}--{hashlib.sha256(entry.path.encode()).hexdigest()[:12]}"
        source.fetch(
            target,
            branch="",
            mirror=name,
            uid=uid,
            commit=entry.sha,
            log=log,
            cancelled=lambda: False,
        )
        directory = to / entry.path
        _make_directory(to, entry.path, uid=uid)
        source.checkout(name, entry.sha, to=directory, uid=uid, url=target, log=log)


def _make_directory(root: Path, path: str, *, uid: int) -> None:
    if not safe_path(path):
        raise FetchFailed("git_refused", f"The submodule's path {path!r} is not allowed.")
    current = root
    for part in path.split("/"):
        current = current / part
        if current.is_symlink():
            raise FetchFailed("git_refused", f"The submodule's path {path!r} leads through a link.")
        if not current.exists():
            current.mkdir()
            if os.geteuid() == 0:
                os.chown(current, uid, uid, follow_symlinks=False)
