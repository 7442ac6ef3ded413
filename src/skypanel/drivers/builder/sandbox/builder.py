"""The real builder: buildpacks in a container, layers kept by what they were made from (docs/decisions/0004-builds.md).

fetch done ── checkout ── decide ── plan ─┬─ dependencies (layer, reused by key) ── build on the source ─┐
                                          └─ everything together in /app (classic, hooks, build scripts) ─┤
                                                                 process types ── layers ── archive ── BuiltSlug
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skypanel.drivers.builder.port import BuildRequest, BuiltSlug, StoredSlug
from skypanel.drivers.builder.sandbox import caches
from skypanel.drivers.builder.sandbox.caches import CacheSettings
from skypanel.drivers.builder.sandbox.interpreters import Toolchains
from skypanel.drivers.builder.sandbox.job import Job
from skypanel.drivers.builder.sandbox.layout import Layout, checked, remove_tree
from skypanel.drivers.builder.sandbox.pack import digest_of
from skypanel.drivers.builder.sandbox.run import Containers, container_id
from skypanel.drivers.builder.sandbox.unpack import unpack_layer
from skypanel.drivers.source.port import Source


class SlugDamaged(OSError):
    """A stored archive is missing or is not what was written."""


class SandboxBuilder:
    """`passthrough`: variables of the platform that builds see (registries, certificates); never secrets."""

    def __init__(
        self,
        *,
        data_dir: Path,
        source: Source,
        containers: Containers,
        toolchains: Toolchains,
        passthrough: Mapping[str, str] | None = None,
        cache: CacheSettings | None = None,
        stack: str = "heroku-24",
    ) -> None:
        self._layout = Layout(data_dir)
        self._source = source
        self._containers = containers
        self._toolchains = toolchains
        self._passthrough = {name: value for name, value in (passthrough or {}).items() if not _secret(name)}
        self._cache = cache or CacheSettings()
        self._stack = stack

    def build(self, request: BuildRequest, *, log: Callable[[str], None], cancelled: Callable[[], bool]) -> BuiltSlug:
        self.clean(request.id)
        job = Job(
            request=request,
            layout=self._layout,
            source=self._source,
            containers=self._containers,
            toolchains=self._toolchains,
            passthrough=self._passthrough,
            cache=self._cache,
            stack=self._stack,
            log=log,
            cancelled=cancelled,
        )
        try:
            return job.run()
        finally:
            remove_tree(self._layout.build(request.id))

    def clean(self, build_id: str) -> None:
        self._containers.remove(container_id(checked(build_id)))
        remove_tree(self._layout.build(build_id))

    def builds(self) -> Sequence[str]:
        root = self._layout.builds
        return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []

    def layer_path(self, layer: str) -> Path:
        return self._layout.layer(layer)

    def archive_path(self, app_id: str, digest: str) -> Path:
        return self._layout.slug(app_id, digest)

    def ensure(self, app_id: str, uid: int, digest: str, layers: Sequence[str]) -> Sequence[Path]:
        """Raises SlugDamaged (an OSError) when layers are gone and the archive cannot give them back."""
        missing = [layer for layer in layers if not self._layout.layer(layer).is_dir()]
        if missing:
            archive = self._layout.slug(app_id, digest)
            if not archive.is_file() or digest_of(archive) != digest:
                raise SlugDamaged("The stored slug of this release is missing or damaged: deploy again.")
            for layer in missing:
                path = self._layout.layer(layer)
                path.parent.mkdir(parents=True, exist_ok=True)
                unpack_layer(archive, layer, path, uid=uid)
        return [self._layout.layer(layer) for layer in layers]

    def image(self, app_id: str, uid: int, slug: StoredSlug) -> str | None:  # noqa: ARG002
        return None

    def remove_slug(self, app_id: str, digest: str, layers: Sequence[str], *, keep_layers: Sequence[str]) -> None:
        self._layout.slug(app_id, digest).unlink(missing_ok=True)
        for layer in set(layers) - set(keep_layers):
            remove_tree(self._layout.layer(layer))
            self._layout.fragment(layer).unlink(missing_ok=True)

    def clear_cache(self, app_id: str) -> None:
        remove_tree(self._layout.cache(app_id))

    def retain_caches(self) -> int:
        """Removes build caches that were not used for too long."""
        return caches.retain(self._layout, self._cache)

    def remove_app(self, app_id: str) -> None:
        for path in (self._layout.slugs(app_id), self._layout.layers(app_id), self._layout.cache(app_id)):
            remove_tree(path)


def passed_through(names: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables whose names fit: `PIP_*` stands for all that begin so. Never one that carries credentials."""
    environment = os.environ if environment is None else environment
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return {
        name: value
        for name, value in environment.items()
        if (name in names or (prefixes and name.startswith(prefixes))) and not _secret(name)
    }


def _secret(name: str) -> bool:
    return any(part in name.lower() for part in ("token", "password", "_auth", "secret", "username"))
