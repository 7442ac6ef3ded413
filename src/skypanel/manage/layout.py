"""The data directory as a value: every directory with its mode and owner, and what a process may see of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class Owner(StrEnum):
    ROOT = "root"  # the worker's; also its group
    READER = "reader"  # root's, readable for the unprivileged group
    SERVICE = "service"  # the unprivileged user's own


@dataclass(frozen=True)
class Directory:
    name: str
    owner: Owner
    mode: int


# Directories below which tenants' files lie are 0711: their own users pass through to what is theirs, and list nothing.
DIRECTORIES: Final = (
    Directory("keys", Owner.READER, 0o750),
    Directory("db", Owner.SERVICE, 0o700),
    Directory("run", Owner.SERVICE, 0o700),
    Directory("supervise", Owner.ROOT, 0o700),
    Directory("log", Owner.ROOT, 0o700),
    Directory("logs", Owner.READER, 0o750),
    Directory("spool", Owner.ROOT, 0o700),
    Directory("router", Owner.READER, 0o750),
    Directory("git", Owner.READER, 0o755),
    Directory("mirrors", Owner.ROOT, 0o711),
    Directory("builds", Owner.ROOT, 0o711),
    Directory("layers", Owner.ROOT, 0o711),
    Directory("slugs", Owner.ROOT, 0o711),
    Directory("cache", Owner.ROOT, 0o711),
    Directory("toolchains", Owner.ROOT, 0o711),
    Directory("containers", Owner.ROOT, 0o711),
)

ROOT_MODE: Final = 0o711
SERVER_WRITES: Final = ("db", "run")
SERVER_READS: Final = ("logs", "keys", "git", "instance.json")


def ensure_layout(data_dir: Path, *, uid: int | None, gid: int | None) -> None:
    """Makes what is missing and mends modes and owners of these directories (not of what is inside).
    With `uid` None everything belongs to whoever runs it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(ROOT_MODE)
    for directory in DIRECTORIES:
        path = data_dir / directory.name
        path.mkdir(exist_ok=True)
        if uid is not None and gid is not None:
            os.chown(path, uid if directory.owner is Owner.SERVICE else 0, 0 if directory.owner is Owner.ROOT else gid)
        path.chmod(directory.mode)
