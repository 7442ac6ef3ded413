"""poetry.lock as pinned requirements that uv installs: the main group, without extras, as `poetry sync --only main`.

Poetry itself is not run: it asks for an API that only pypi.org has, and takes a second to start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_MARKER = 1000  # characters


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(lock: Mapping[str, Any], pyproject: Mapping[str, Any]) -> str:
    packages: list[dict[str, Any]] = [p for p in lock.get("package", []) if isinstance(p, dict)]
    if any("groups" in package for package in packages):
        chosen = {
            id(package): _group_marker(package)
            for package in packages
            if "main" in package.get("groups", []) and not package.get("optional")
        }
    else:
        chosen = _reachable(packages, pyproject)
    indexes = dict.fromkeys(
        package["source"]["url"] for package in packages if package.get("source", {}).get("type") == "legacy"
    )
    lines = [f"--extra-index-url {url}" for url in indexes]
    lines += [_line(package, chosen[id(package)]) for package in packages if id(package) in chosen]
    return "\n".join(lines)


def _group_marker(package: Mapping[str, Any]) -> str:
    """Since lock version 2.1 markers stand with the package: one for all groups, or one for each."""
    markers = package.get("markers", "")
    return str(markers.get("main", "")) if isinstance(markers, dict) else str(markers)


def _reachable(packages: Sequence[dict[str, Any]], pyproject: Mapping[str, Any]) -> dict[int, str]:
    """Older lock files don't say groups: what the main dependencies lead to. Id of the entry -> its marker, made of the
    markers on all ways to it; a way without any makes it unconditional."""
    named: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        named.setdefault(normal(str(package.get("name"))), []).append(package)
    ways: dict[str, set[str]] = {}
    todo = _main(pyproject)
    seen: set[tuple[str, tuple[str, ...], str]] = set()
    while todo:
        name, extras, marker = todo.pop()
        if (name, extras, marker) in seen or name not in named:
            continue
        seen.add((name, extras, marker))
        ways.setdefault(name, set()).add(marker)
        for package in named[name]:
            todo += _below(package, extras, marker)
    return {
        id(package): "" if "" in ways[name] else " or ".join(f"({marker})" for marker in sorted(ways[name]))
        for name, entries in named.items()
        if name in ways
        for package in entries
    }


_Way = tuple[str, tuple[str, ...], str]


def _main(pyproject: Mapping[str, Any]) -> list[_Way]:
    found: list[_Way] = []
    for text in pyproject.get("project", {}).get("dependencies", []):
        match = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;\s*(.+))?", str(text))
        if match:
            extras = tuple(part.strip() for part in (match[2] or "").split(",") if part.strip())
            found.append((normal(match[1]), extras, (match[3] or "").strip()))
    for name, spec in pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
        if name != "python":
            found += _ways(name, spec, "")
    return found


def _below(package: Mapping[str, Any], extras: Sequence[str], marker: str) -> list[_Way]:
    wanted = {
        normal(re.split(r"[\s(\[;]", str(text), maxsplit=1)[0])
        for extra in extras
        for text in package.get("extras", {}).get(extra, [])
    }
    found: list[_Way] = []
    for name, spec in package.get("dependencies", {}).items():
        for way in _ways(name, spec, marker, asked=normal(name) in wanted):
            found.append(way)
    return found


def _ways(name: str, spec: Any, marker: str, *, asked: bool = False) -> list[_Way]:
    ways: list[_Way] = []
    for one in spec if isinstance(spec, list) else [spec]:
        table = one if isinstance(one, dict) else {}
        if table.get("optional") and not asked:
            continue
        own = re.sub(r'\s*(?:and\s+)?extra == "[^"]*"', "", str(table.get("markers", ""))[:MAX_MARKER]).strip()
        both = " and ".join(f"({part})" for part in (marker, own) if part) if marker and own else marker or own
        ways.append((normal(name), tuple(table.get("extras", ())), both))
    return ways


def _line(package: Mapping[str, Any], marker: str) -> str:
    name, source = package["name"], package.get("source", {})
    condition = f" ; {marker}" if marker else ""
    kind = source.get("type")
    if kind == "git":
        below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        reference = source.get("resolved_reference", source.get("reference"))
        return f"{name} @ git+{source['url']}@{reference}{below}{condition}"
    if kind == "url":
        return f"{name} @ {source['url']}{condition}"
    if kind in ("directory", "file"):
        return f"./{source['url']}"
    python = str(package.get("python-versions", "*"))
    condition = condition or _python_condition(python)
    hashes = "".join(
        f" --hash={file['hash']}" for file in package.get("files", []) if isinstance(file, dict) and "hash" in file
    )
    return f"{name}=={package['version']}{condition}{hashes}"


def _python_condition(versions: str) -> str:
    """Several entries of one name differ by the Python they are for."""
    match = re.fullmatch(r"(>=|<|<=|>)\s*(\d+\.\d+)(?:,\s*(<|<=)\s*(\d+\.\d+))?", versions)
    if match is None or (match[1] == ">=" and match[3] is None):
        return ""
    parts = [f'python_version {match[1]} "{match[2]}"']
    if match[3]:
        parts.append(f'python_version {match[3]} "{match[4]}"')
    return f" ; {' and '.join(parts)}"
