"""Source in, slug out. A builder decides on buildpacks, runs them in a sandbox and keeps what they made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from skypanel.drivers.source.port import Commit
from skypanel.kit.secret import Secret


class BuildFailed(Exception):
    """`code` is stable (`no_buildpack`, `buildpack_failed`, `dependency_failed`, `toolchain_missing`, `build_timeout`,
    `build_memory`, `build_disk`, `build_output`, `slug_too_large`, `procfile_invalid`, …); the message is one sentence
    that says what happened and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BuildCancelled(Exception):
    pass


@dataclass(frozen=True)
class BuildLimits:
    time_s: int = 900
    memory_mb: int = 2048
    cpu_millis: int = 2000
    pids: int = 1024
    disk_mb: int = 4096
    output_bytes: int = 10_000_000
    slug_mb: int = 1024


@dataclass(frozen=True)
class BuildRequest:
    id: str  # the deployment's id: names every directory and container of this build
    app_id: str
    organization_id: str
    uid: int
    mirror: str
    commit: Commit
    git_url: str
    buildpacks: Sequence[str]  # empty: detect; "builtin:python" or a Git URL (optionally #branch), in order
    env: Mapping[str, Secret]
    limits: BuildLimits = field(default_factory=BuildLimits)
    cache: bool = True


@dataclass(frozen=True)
class BuiltSlug:
    digest: str  # "sha256:…" of the archive
    size_bytes: int  # of the archive
    layers: Sequence[str]  # names for `layer_path`, topmost first
    toolchains: Sequence[str]
    process_types: Mapping[str, str]
    config_vars: Mapping[str, str]
    buildpack: str  # as people read it: "Python (uv)", "heroku/nodejs + …"
    stack: str


@dataclass(frozen=True)
class StoredSlug:
    digest: str
    layers: Sequence[str]
    toolchains: Sequence[str]


class Builder(Protocol):
    def build(self, request: BuildRequest, *, log: Callable[[str], None], cancelled: Callable[[], bool]) -> BuiltSlug:
        """Starts by removing leftovers of `request.id`. Raises BuildFailed, BuildCancelled or FetchFailed (buildpack
        repositories). Leaves nothing behind unless it succeeds."""
        ...

    def clean(self, build_id: str) -> None:
        """Removes containers and directories of an interrupted build. Idempotent."""
        ...

    def layer_path(self, layer: str) -> Path: ...

    def ensure(self, app_id: str, uid: int, digest: str, layers: Sequence[str]) -> Sequence[Path]:
        """The unpacked layers, topmost first; unpacked again from the archive where they were removed."""
        ...

    def image(self, app_id: str, uid: int, slug: StoredSlug) -> str | None:
        """The image that replicas of this slug start from, with its digest; made again where it was lost. None: they
        start from the unpacked layers. Raises BuildFailed `registry_failed`, or OSError when the slug itself is lost.
        """
        ...

    def archive_path(self, app_id: str, digest: str) -> Path: ...

    def remove_slug(self, app_id: str, digest: str, layers: Sequence[str], *, keep_layers: Sequence[str]) -> None: ...

    def clear_cache(self, app_id: str) -> None: ...

    def remove_app(self, app_id: str) -> None:
        """Everything kept for an application: slugs, layers, caches."""
        ...

    def builds(self) -> Sequence[str]:
        """Ids of builds that have left something on disk: what the reconciler compares with the running ones."""
        ...
