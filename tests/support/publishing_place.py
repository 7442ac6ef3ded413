"""A registry with a run image, and a builder that publishes there what other ones would have built."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from registries import registry

from skypanel.drivers.builder.images import PublishingBuilder, Registry, Sweep
from skypanel.drivers.builder.images.publishing import APPS, RunImage
from skypanel.drivers.builder.images.registry import CONFIG, LAYER, MANIFEST
from skypanel.drivers.builder.port import StoredSlug

UID = 31_234
BLOBS = "docker/registry/v2/blobs/sha256"


@dataclass
class Inner:
    """The builder behind: layers as directories."""

    root: Path
    removed: list[str] = field(default_factory=list)

    def layer_path(self, layer: str) -> Path:
        return self.root / layer

    def ensure(self, app_id: str, uid: int, digest: str, layers: Sequence[str]) -> Sequence[Path]:
        return [self.root / layer for layer in layers]

    def remove_slug(self, app_id: str, digest: str, layers: Sequence[str], *, keep_layers: Sequence[str]) -> None:
        self.removed.append(digest)


@dataclass
class Place:
    http: httpx.Client
    inner: Inner
    registry: Registry
    work: Path
    files: Path  # the registry's

    def builder(self, registry: Registry | None = None) -> PublishingBuilder:
        inner: Any = self.inner
        return PublishingBuilder(
            inner, registry or self.registry, address="registry.test:5000", run_image=RunImage("stack", "24"),
            work=self.work,
        )  # fmt: skip

    def sweep(self, *, settle_s: float = 0.1) -> Sweep:
        return Sweep(self.registry, self.files, ours=APPS, settle_s=settle_s)

    def slug(self, *files: str, base: str = "deps", toolchains: Sequence[str] = ()) -> StoredSlug:
        """One layer of its own above a shared one."""
        name = hashlib.sha256("".join(files).encode()).hexdigest()
        own, shared = f"a-{name[:8]}", base
        for layer, names in ((own, files), (shared, ("lib.py",)), *((each, ("python",)) for each in toolchains)):
            (self.inner.root / layer).mkdir(exist_ok=True)
            for file in names:
                (self.inner.root / layer / file).write_text(file * 100)
        return StoredSlug(f"sha256:{name}", [own, shared], [str(self.inner.root / each) for each in toolchains])

    def get(self, reference: str, kind: str, name: str) -> httpx.Response:
        repository = reference.partition("/")[2].partition("@")[0]
        return self.http.get(f"/v2/{repository}/{kind}/{name}", headers={"Accept": MANIFEST})

    def content(self, reference: str) -> dict[str, Any]:
        return dict(self.get(reference, "manifests", reference.partition("@")[2]).json())

    def pull(self, reference: str | None) -> set[str]:
        """As an engine does, that has none of it: the digests of its blobs, each looked at."""
        assert reference is not None
        manifest = self.get(reference, "manifests", reference.partition("@")[2])
        assert f"sha256:{hashlib.sha256(manifest.content).hexdigest()}" == reference.partition("@")[2], manifest.text
        digests = {each["digest"] for each in (*manifest.json()["layers"], manifest.json()["config"])}
        for digest in digests:
            blob = self.get(reference, "blobs", digest)
            assert f"sha256:{hashlib.sha256(blob.content).hexdigest()}" == digest, blob.status_code
        return digests

    def unname(self, reference: str | None) -> None:
        """The image goes, its blobs and all that the repository knows of them stay."""
        assert reference is not None
        repository, _, digest = reference.partition("/")[2].partition("@")
        self.registry.delete_manifest(repository, digest)

    def blob(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.files / BLOBS / name[:2] / name / "data"

    def blobs(self) -> set[str]:
        return {f"sha256:{path.parent.name}" for path in (self.files / BLOBS).glob("*/*/data")}

    def base(self) -> set[str]:
        """What the run image is made of, its manifest too."""
        found = self.registry.manifest("stack", "24")
        assert found is not None
        return {found[0], found[1]["config"]["digest"], *(each["digest"] for each in found[1]["layers"])}

    def let_hours_pass(self) -> None:
        """For everything that the registry keeps."""
        for directory, _, files in os.walk(self.files):
            for file in files:
                os.utime(Path(directory) / file, (time.time() - 7200,) * 2)


@contextmanager
def place_in(directory: Path, *, cached: bool = False) -> Iterator[Place]:
    with (
        registry(directory / "registry", cached=cached) as where,
        httpx.Client(base_url=f"http://{where}", trust_env=False) as http,
    ):
        found = Registry(f"http://{where}")
        layer = found.put_bytes("stack", b"the run image's layer")
        content = {"architecture": "amd64", "os": "linux", "config": {"Env": ["A=1"]}, "rootfs": {"diff_ids": [layer]}}
        configuration = json.dumps(content).encode()
        found.put_manifest("stack", "24", {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(configuration),
                       "digest": found.put_bytes("stack", configuration)},
            "layers": [{"mediaType": LAYER, "size": 21, "digest": layer}],
        })  # fmt: skip
        (directory / "layers").mkdir()
        yield Place(http, Inner(directory / "layers"), found, directory / "work", directory / "registry/data")
        found.close()
