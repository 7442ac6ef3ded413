"""A builder whose slugs become images: built by another one, then pushed to the registry by digest."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skypanel.drivers.builder.images import image
from skypanel.drivers.builder.images.image import Layer
from skypanel.drivers.builder.images.registry import BlobsMissing, Registry, RegistryFailed
from skypanel.drivers.builder.port import Builder, BuildFailed, BuildRequest, BuiltSlug, StoredSlug

APPS = "apps"  # below it, nobody else pushes


@dataclass(frozen=True)
class RunImage:
    """The stack's run image in the same registry."""

    repository: str
    tag: str


class PublishingBuilder:
    """`address`: the registry as engines name it in images ("registry.internal:5000"). `work`: layers as blobs, kept
    while they may be pushed again. `ahead`: told of the organization whose application is being built."""

    def __init__(
        self, inner: Builder, registry: Registry, *, address: str, run_image: RunImage, work: Path,
        ahead: Callable[[str], None] = lambda _organization_id: None,
    ) -> None:  # fmt: skip
        self._inner = inner
        self._registry = registry
        self._address = address
        self._run_image = run_image
        self._work = work
        self._ahead = ahead
        self._known: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    # --- what is added to the builder

    def build(self, request: BuildRequest, *, log: Callable[[str], None], cancelled: Callable[[], bool]) -> BuiltSlug:
        self._ahead(request.organization_id)
        built = self._inner.build(request, log=log, cancelled=cancelled)
        log("-----> Publishing the image")
        slug = StoredSlug(built.digest, built.layers, built.toolchains)
        log(f"       {self.image(request.app_id, request.uid, slug)}")
        return built

    def image(self, app_id: str, uid: int, slug: StoredSlug) -> str | None:
        repository, tag = self._repository(app_id), _tag(slug.digest)
        try:
            found = self._registry.manifest_digest(repository, tag)
            if found is None:
                found = self._publish(repository, tag, app_id, uid, slug)
        except RegistryFailed as error:
            # Machines that have it start it without the registry.
            if (known := self._known.get((app_id, slug.digest))) is not None:
                return known
            raise BuildFailed("registry_failed", f"{error} Running replicas are not affected; try again.") from error
        reference = f"{self._address}/{repository}@{found}"
        self._known[app_id, slug.digest] = reference
        return reference

    def remove_slug(self, app_id: str, digest: str, layers: Sequence[str], *, keep_layers: Sequence[str]) -> None:
        """The image goes with its slug."""
        self._unpublish(self._repository(app_id), _tag(digest))
        for layer in set(layers) - set(keep_layers):
            for path in (self._blob(layer), self._note(layer)):
                path.unlink(missing_ok=True)
        self._inner.remove_slug(app_id, digest, layers, keep_layers=keep_layers)

    def remove_app(self, app_id: str) -> None:
        repository = self._repository(app_id)
        for tag in self._registry.tags(repository):
            self._unpublish(repository, tag)
        self._inner.remove_app(app_id)

    # --- what is the inner builder's

    def clean(self, build_id: str) -> None:
        self._inner.clean(build_id)

    def layer_path(self, layer: str) -> Path:
        return self._inner.layer_path(layer)

    def ensure(self, app_id: str, uid: int, digest: str, layers: Sequence[str]) -> Sequence[Path]:
        return self._inner.ensure(app_id, uid, digest, layers)

    def archive_path(self, app_id: str, digest: str) -> Path:
        return self._inner.archive_path(app_id, digest)

    def clear_cache(self, app_id: str) -> None:
        self._inner.clear_cache(app_id)

    def builds(self) -> Sequence[str]:
        return self._inner.builds()

    # ---

    def _repository(self, app_id: str) -> str:
        return f"{APPS}/{app_id.lower()}"

    def _publish(self, repository: str, tag: str, app_id: str, uid: int, slug: StoredSlug) -> str:
        try:
            return self._push(repository, tag, app_id, uid, slug)
        except BlobsMissing:  # of a blob that the registry had when it was asked
            return self._push(repository, tag, app_id, uid, slug)

    def _push(self, repository: str, tag: str, app_id: str, uid: int, slug: StoredSlug) -> str:
        base, configuration = self._base()
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        layers = [self._toolchain(Path(prefix)) for prefix in slug.toolchains]
        if any(not self._is_written(layer) for layer in slug.layers):
            self._inner.ensure(app_id, uid, slug.digest, slug.layers)
        layers += [self._layer(name, uid) for name in reversed(slug.layers)]
        for layer, name in zip(layers, [*slug.toolchains, *reversed(slug.layers)], strict=True):
            self._registry.put_file(repository, layer.digest, self._blob(name))
        for each in base["layers"]:
            if not self._registry.has_blob(repository, each["digest"]):
                self._registry.mount(repository, each["digest"], source=self._run_image.repository)
        content = image.config(configuration, layers)
        self._registry.put_bytes(repository, content)
        return self._registry.put_manifest(repository, tag, image.manifest(base, content, layers))

    def _base(self) -> tuple[dict[str, Any], dict[str, Any]]:
        repository, tag = self._run_image.repository, self._run_image.tag
        found = self._registry.manifest(repository, tag)
        if found is None:
            raise RegistryFailed(f"The run image {repository}:{tag} is not in the registry; `skypanel cluster init`.")
        configuration: dict[str, Any] = json.loads(self._registry.blob(repository, found[1]["config"]["digest"]))
        return found[1], configuration

    def _is_written(self, name: str) -> bool:
        return self._note(name).exists() and self._blob(name).exists()

    def _layer(self, name: str, uid: int) -> Layer:
        return self._written(name, self._inner.layer_path(name), prefix="app/", owner=uid)

    def _toolchain(self, prefix: Path) -> Layer:
        return self._written(str(prefix), prefix, prefix=f"{str(prefix).strip('/')}/", owner=0)

    def _written(self, name: str, directory: Path, *, prefix: str, owner: int) -> Layer:
        """Written once per name: layers and toolchains never change under theirs."""
        note, blob = self._note(name), self._blob(name)
        with self._lock:
            if self._is_written(name):
                return image.load(note.read_text())
        draft = blob.with_suffix(f".{threading.get_ident()}")
        try:
            layer = image.write_layer(directory, draft, prefix=prefix, owner=owner)
            with self._lock:
                draft.replace(blob)
                note.write_text(image.dump(layer))
        finally:
            draft.unlink(missing_ok=True)
        return layer

    def _blob(self, name: str) -> Path:
        return self._work / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.tar.gz"

    def _note(self, name: str) -> Path:
        return self._blob(name).with_suffix(".json")

    def _unpublish(self, repository: str, tag: str) -> None:
        """What another tag still names stays. Blobs are left to `sweep`: one that no other image has may be one
        that another publisher was just told is there."""
        digest = self._registry.manifest_digest(repository, tag)
        others = (name for name in self._registry.tags(repository) if name != tag)
        if digest is not None and all(self._registry.manifest_digest(repository, name) != digest for name in others):
            self._registry.delete_manifest(repository, digest)


def _tag(slug_digest: str) -> str:
    return slug_digest.removeprefix("sha256:")
