"""Gives root away for good: a private mount namespace that shows only what is needed, then an unprivileged user.

The unprivileged user must reach code, interpreter and its part of the data directory even where they lie below a
directory that is closed to it (a checkout in /root, a 0700 directory of mktemp). So the topmost closed directory is
covered by an empty file system, and just the needed paths are bound back below it: what was hidden stays hidden.

Standard library only: this runs between the process manager and the program, at every start.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_PR_SET_NO_NEW_PRIVS = 38


class CannotConfine(Exception):
    """The kernel did not allow it, or a needed path is closed to the user by its own mode. The message says which."""


@dataclass(frozen=True)
class View:
    """What a confined process sees. `covered` directories show only what is listed."""

    readable: Sequence[Path]
    writable: Sequence[Path] = ()
    covered: Sequence[Path] = ()


@dataclass(frozen=True)
class Plan:
    """The mounts of a view, computed before anything is done."""

    covers: Sequence[Path]  # each gets an empty file system
    binds: Sequence[tuple[Path, bool]]  # path below a cover, writable?
    links: Sequence[tuple[Path, str]]  # symbolic links below a cover that lead to needed paths


def trail(path: Path) -> tuple[list[tuple[Path, str]], Path]:
    """The symbolic links that lead from an absolute `path` to its real place, each at its own, and that place."""
    links: list[tuple[Path, str]] = []
    done = Path("/")
    todo = list(path.parts[1:])
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done.parent
            continue
        here = done / part
        if not here.is_symlink():
            done = here
            continue
        target = str(here.readlink())
        links.append((here, target))
        if len(links) > 40:
            raise CannotConfine(f"{path}: too many levels of symbolic links")
        if target.startswith("/"):
            done = Path("/")
        todo = [piece for piece in Path(target).parts if piece not in ("/", ".")] + todo
    return links, done


def closed_ancestor(path: Path, *, uid: int, gid: int) -> Path | None:
    """The topmost directory above `path` that the user may not pass through."""
    for ancestor in reversed(path.parents):
        status = ancestor.stat()
        if status.st_uid == uid:
            bit = stat.S_IXUSR
        elif status.st_gid == gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return ancestor
    return None


def plan(view: View, *, uid: int, gid: int) -> Plan:
    """Which directories to cover, and what to bind back. Pure but for looking at modes and links."""
    links: dict[Path, str] = {}
    places: dict[Path, bool] = {}
    for path, writable in [*((p, False) for p in view.readable), *((p, True) for p in view.writable)]:
        if not path.exists():
            continue
        on_the_way, place = trail(path.absolute())
        links.update(on_the_way)
        places[place] = writable or places.get(place, False)
    covers = {trail(path.absolute())[1] for path in view.covered if path.exists()}
    for place in [*places, *(link for link, _ in links.items())]:
        closed = closed_ancestor(place, uid=uid, gid=gid)
        if closed is not None:
            covers.add(closed)
    topmost = {cover for cover in covers if not covers & set(cover.parents)}
    below = {place for place in places if topmost & set(place.parents)}
    return Plan(
        covers=sorted(topmost),
        binds=sorted((place, places[place]) for place in below if not any(
            parent in below and places[parent] == places[place] for parent in place.parents)),
        links=sorted((link, target) for link, target in links.items()
                     if topmost & set(link.parents) and not below & set(link.parents)),
    )  # fmt: skip


def confine(view: View, *, uid: int, gid: int) -> None:
    """Never returns to root: afterwards this process is `uid` without capabilities and can gain none.
    Raises CannotConfine."""
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = plan(view, uid=uid, gid=gid)
    needed = [path for path in (*view.readable, *view.writable) if path.exists()]
    _check(libc.unshare(_CLONE_NEWNS), "a private mount namespace")
    _mount(libc, None, "/", flags=_MS_REC | _MS_PRIVATE)
    held = [(path, writable, os.open(path, os.O_PATH)) for path, writable in wanted.binds]
    for cover in wanted.covers:
        _mount(libc, "tmpfs", str(cover), kind="tmpfs", flags=_MS_NOSUID | _MS_NODEV, options="size=1m,mode=0755")
    for path, writable, descriptor in held:
        _bind(libc, descriptor, path, writable=writable)
        os.close(descriptor)
    for link, target in wanted.links:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target)
    for cover in wanted.covers:
        _mount(libc, None, str(cover), flags=_MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    os.chdir("/")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    for path in needed:
        if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            raise CannotConfine(f"{path} cannot be read by the user {uid}: chmod -R go+rX {path}")


def possible() -> bool:
    """Root that may mount. Tried in a child, so that nothing changes here."""
    if os.geteuid() != 0 or not hasattr(ctypes.CDLL(None), "unshare"):
        return False
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        ok = libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) == 0
        os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _bind(libc: ctypes.CDLL, descriptor: int, path: Path, *, writable: bool) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _mount(libc, source, str(path), flags=_MS_BIND | _MS_REC)
    if not writable:
        _mount(libc, None, str(path), flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID)


def _mount(
    libc: ctypes.CDLL,
    source: str | None,
    target: str,
    *,
    kind: str | None = None,
    flags: int,
    options: str | None = None,
) -> None:
    arguments: Iterable[bytes | None] = (text.encode() if text is not None else None for text in (source, target, kind))
    _check(libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() if options else None), f"mounting {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise CannotConfine(f"{what}: {os.strerror(ctypes.get_errno())}")
