"""Words that are secrets of somebody on the platform under test, and where they turn up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

VARIABLE = "canary-variable-4711-of-ada"


def holders(root: Path, words: Iterable[bytes]) -> list[str]:
    """Files below it that hold one of the words. Empty file systems and what is no file are passed over."""
    wanted = list(words)
    found = []
    for path in root.rglob("*"):
        try:
            if path.is_symlink() or not path.is_file() or path.suffix == ".img":
                continue
            content = path.read_bytes()
        except FileNotFoundError:  # a moment ago it was there
            continue
        found += [str(path) for word in wanted if word in content]
    return found


def processes() -> Iterator[tuple[int, int, bytes, bytes]]:
    """Id, user, command line and environment of everything that runs."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            owner = process.stat().st_uid
        except OSError:
            continue
        yield int(process.name), owner, command, environment
