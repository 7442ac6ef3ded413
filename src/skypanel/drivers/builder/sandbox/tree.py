"""The files of a commit as detection and planning see them: names, and the contents of small regular files."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.source.port import TreeEntry

MAX_READ = 20_000_000


def entries_of(directory: Path) -> list[TreeEntry]:
    """What lies in a directory that builds have written to, without following links. Contents are not hashed."""
    entries = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            status = path.lstat()
            kind = "100755" if status.st_mode & stat.S_IXUSR else "100644"
            mode = kind if stat.S_ISREG(status.st_mode) else "120000"
            entries.append(TreeEntry(str(path.relative_to(directory)), mode, "", status.st_size))
    return entries


class SourceTree:
    """Reads regular files only; a link reads as absent, wherever it leads."""

    def __init__(self, entries: Iterable[TreeEntry], read: Callable[[TreeEntry], bytes]) -> None:
        self._entries = {entry.path: entry for entry in entries}
        self._read = read
        self._seen: dict[str, bytes | None] = {}

    @classmethod
    def of(cls, files: dict[str, str]) -> SourceTree:
        """A tree in memory."""
        entries = [TreeEntry(path, "100644", path, len(content)) for path, content in files.items()]
        return cls(entries, lambda entry: files[entry.path].encode())

    @property
    def paths(self) -> Iterable[str]:
        return self._entries.keys()

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def has_directory(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self._entries)

    def any_of(self, *paths: str) -> str | None:
        return next((path for path in paths if path in self._entries), None)

    def with_suffix(self, suffix: str) -> str | None:
        """The first file at the root that ends so."""
        return next((path for path in self._entries if "/" not in path and path.endswith(suffix)), None)

    def bytes(self, path: str) -> bytes | None:
        if path not in self._seen:
            entry = self._entries.get(path)
            readable = entry is not None and entry.mode in ("100644", "100755") and entry.size <= MAX_READ
            self._seen[path] = self._read(entry) if entry is not None and readable else None
        return self._seen[path]

    def text(self, path: str) -> str | None:
        content = self.bytes(path)
        return None if content is None else content.decode("utf-8-sig", errors="replace")

    def json(self, path: str) -> dict[str, Any]:
        """Raises BuildFailed `dependency_failed` when it is no JSON object."""
        try:
            value = json.loads(self.text(path) or "{}")
        except json.JSONDecodeError as error:
            raise BuildFailed(
                "dependency_failed", f"{path} is not valid JSON (line {error.lineno}: {error.msg}): correct it."
            ) from error
        except (RecursionError, ValueError) as error:  # nested a thousand deep; a number of ten thousand digits
            raise BuildFailed("dependency_failed", f"{path} cannot be read ({error}): simplify it.") from error
        if not isinstance(value, dict):
            raise BuildFailed("dependency_failed", f"{path} is not a JSON object: correct it.")
        return value

    def toml(self, path: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text(path) or "")
        except tomllib.TOMLDecodeError as error:
            raise BuildFailed("dependency_failed", f"{path} is not valid TOML ({error}): correct it.") from error
        except (RecursionError, ValueError) as error:
            raise BuildFailed("dependency_failed", f"{path} cannot be read ({error}): simplify it.") from error
