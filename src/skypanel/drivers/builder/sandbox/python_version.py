"""Which Python a repository asks for, and where it says so."""

from __future__ import annotations

import re

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox.interpreters import Wanted
from skypanel.drivers.builder.sandbox.tree import SourceTree

_NAMED = re.compile(r"(?:python-|cpython-)?(\d+(?:\.\d+){0,2})")


def wanted_python(tree: SourceTree) -> Wanted | None:
    """runtime.txt, .python-version, Pipfile(.lock), pyproject.toml: the first that says something, as on Heroku.
    Raises BuildFailed `toolchain_missing` when it cannot be understood."""
    for path in ("runtime.txt", ".python-version"):
        text = tree.text(path)
        lines = [line.split("#")[0].strip() for line in (text or "").splitlines()]
        lines = [line for line in lines if line]
        if lines:
            return _named(lines[0], path)
    for path in ("Pipfile.lock", "Pipfile"):
        if path in tree:
            data = tree.json(path).get("_meta", {}) if path.endswith("lock") else tree.toml(path)
            requires = data.get("requires", {})
            version = requires.get("python_full_version") or requires.get("python_version")
            if isinstance(version, str) and _NAMED.fullmatch(version):
                return _named(version, path)
    return _from_pyproject(tree)


def _from_pyproject(tree: SourceTree) -> Wanted | None:
    if "pyproject.toml" not in tree:
        return None
    data = tree.toml("pyproject.toml")
    requires = data.get("project", {}).get("requires-python")
    if requires is None:
        requires = data.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python")
    if not isinstance(requires, str) or "||" in requires or requires.strip() in ("", "*"):
        return None
    return Wanted(requires, "pyproject.toml")


def _named(text: str, path: str) -> Wanted:
    match = _NAMED.fullmatch(text.strip().lower()) if len(text) <= 40 else None
    if match is None:
        raise BuildFailed(
            "toolchain_missing", f"{path} says {text[:40]!r}, which is no Python version: write 3.12, for example."
        )
    return Wanted(match[1], path, tuple(int(part) for part in match[1].split(".")))
