"""Pipenv's files as requirements that uv installs. Lock format: https://github.com/pypa/pipfile"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def from_lock(lock: Mapping[str, Any]) -> str:
    """The `default` section, pinned; used without resolving anything."""
    return _indexes(lock.get("_meta", {}).get("sources", [])) + "\n".join(
        _line(name, entry) for name, entry in lock.get("default", {}).items()
    )


def from_pipfile(pipfile: Mapping[str, Any]) -> str:
    packages = pipfile.get("packages", {})
    return _indexes(pipfile.get("source", [])) + "\n".join(_line(name, entry) for name, entry in packages.items())


def _indexes(sources: Any) -> str:
    urls = [str(s.get("url", "")) for s in sources if isinstance(s, dict)]
    others = [url for url in urls if url and "pypi.org" not in url and "pypi.python.org" not in url]
    return "".join(f"--extra-index-url {url}\n" for url in others)


def _line(name: str, entry: Any) -> str:
    if isinstance(entry, str):
        return name if entry == "*" else f"{name}{entry}"
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    marker = f" ; {entry['markers']}" if entry.get("markers") else ""
    if "git" in entry:
        reference = f"@{entry['ref']}" if entry.get("ref") else ""
        return f"{name}{extras} @ git+{entry['git']}{reference}{marker}"
    if "path" in entry:
        return f"{'-e ' if entry.get('editable') else ''}{entry['path']}{extras}"
    if "file" in entry:
        return f"{name}{extras} @ {entry['file']}{marker}"
    version = entry.get("version", "")
    hashes = "".join(f" --hash={value}" for value in entry.get("hashes", ()))
    return f"{name}{extras}{'' if version == '*' else version}{marker}{hashes}"
