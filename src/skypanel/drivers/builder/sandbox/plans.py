"""What a built-in buildpack wants done, as a value: the builder carries it out, tests compare it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "1"  # of all built-in buildpacks: part of every layer's key


@dataclass(frozen=True)
class Plan:
    """`install` makes the dependencies in /app; `build` then works on the source. Both are bash, run as its user.

    With a `layer_key` the dependencies become a layer of their own, made from `inputs` alone and reused while the key
    stays the same: a change of the code then runs no container at all. Without one, everything runs together in /app.
    """

    name: str  # "Python (pip)": as people read it
    install: str = ""
    build: str = ""
    layer_key: str | None = None
    layer_paths: Sequence[str] = ()  # what `install` makes below /app
    inputs: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    toolchains: Sequence[Path] = ()
    processes: Mapping[str, str] = field(default_factory=dict)
    config_vars: Mapping[str, str] = field(default_factory=dict)
    profile: str = ""  # a file in .profile.d
    files: Mapping[str, str] = field(default_factory=dict)  # ours, added below /app
    notes: Sequence[str] = ()
    hint: str = ""  # where no process type is known


SENSITIVE_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "YARN_", "PNPM_", "POETRY_", "PIPENV_")
SENSITIVE = frozenset({"NODE_ENV", "DISABLE_COLLECTSTATIC", "USE_NPM_INSTALL"})


def layer_key(
    prefix: str, *, contents: Iterable[tuple[str, bytes | None]], facts: Sequence[str], env: Mapping[str, str]
) -> str:
    """A name for what these inputs make: files, versions, the script, and the variables that installers obey."""
    hashed = hashlib.sha256()
    relevant = {k: v for k, v in env.items() if k in SENSITIVE or k.startswith(SENSITIVE_PREFIXES)}
    hashed.update(json.dumps([VERSION, list(facts), sorted(relevant.items())]).encode())
    for path, content in sorted(contents):
        hashed.update(f"\0{path}\0{-1 if content is None else len(content)}\0".encode())
        hashed.update(content or b"")
    return f"{prefix}-{hashed.hexdigest()[:24]}"
