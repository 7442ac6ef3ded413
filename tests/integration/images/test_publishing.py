"""Slugs as images in a real registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from registries import registry

from skypanel.drivers.builder.images import PublishingBuilder, Registry
from skypanel.drivers.builder.images.publishing import RunImage
from skypanel.drivers.builder.images.registry import CONFIG, LAYER, MANIFEST
from skypanel.drivers.builder.port import BuildFailed, StoredSlug

UID = 31_234


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
    url: str
    inner: Inner
    registry: Registry
    work: Path

    def builder(self) -> PublishingBuilder:
        inner: Any = self.inner
        return PublishingBuilder(
            inner, self.registry, address="registry.test:5000", run_image=RunImage("stack", "24"), work=self.work
        )

    def slug(self, *files: str, base: str = "deps") -> StoredSlug:
        """One layer of its own above a shared one."""
        name = hashlib.sha256("".join(files).encode()).hexdigest()
        own, shared = f"a-{name[:8]}", base
        for layer, names in ((own, files), (shared, ("lib.py",))):
            (self.inner.root / layer).mkdir(exist_ok=True)
            for file in names:
                (self.inner.root / layer / file).write_text(file * 100)
        return StoredSlug(f"sha256:{name}", [own, shared], [])

    def get(self, reference: str, kind: str, name: str) -> httpx.Response:
        repository = reference.partition("/")[2].partition("@")[0]
        return httpx.get(f"{self.url}/v2/{repository}/{kind}/{name}", headers={"Accept": MANIFEST}, trust_env=False)

    def content(self, reference: str) -> dict[str, Any]:
        return dict(self.get(reference, "manifests", reference.partition("@")[2]).json())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with registry(tmp_path / "registry") as where:
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
        (tmp_path / "layers").mkdir()
        yield Place(f"http://{where}", Inner(tmp_path / "layers"), found, tmp_path / "work")
        found.close()


def test_an_image_is_the_run_image_with_the_slugs_layers_below_app_owned_by_the_app(place: Place) -> None:
    (place.inner.root / "deps").mkdir()
    (place.inner.root / "deps" / "link").symlink_to("lib.py")
    reference = place.builder().image("App-1", UID, place.slug("main.py"))
    assert reference is not None
    assert reference.startswith("registry.test:5000/apps/app-1@sha256:")
    content = place.content(reference)
    assert len(content["layers"]) == 3
    names = []
    for each in content["layers"][1:]:
        blob = place.get(reference, "blobs", each["digest"]).content
        assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == each["digest"]
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            assert {entry.uid for entry in archive} == {UID}
            names.append(sorted(entry.name for entry in archive))
    assert names == [["app", "app/lib.py", "app/link"], ["app", "app/main.py"]], "the topmost layer comes last"


def test_the_same_slug_is_the_same_image_and_is_not_pushed_again(place: Place) -> None:
    slug = place.slug("main.py")
    first = place.builder().image("app", UID, slug)
    for file in place.work.iterdir():
        file.unlink()
    assert place.builder().image("app", UID, slug) == first
    assert not list(place.work.iterdir())


def test_an_image_that_the_registry_has_lost_is_made_again_from_the_slug(place: Place) -> None:
    slug = place.slug("main.py")
    builder = place.builder()
    first = builder.image("app", UID, slug)
    assert first is not None
    place.registry.delete_manifest("apps/app", first.partition("@")[2])
    assert place.get(first, "manifests", first.partition("@")[2]).status_code == 404
    assert builder.image("app", UID, slug) == first
    assert place.content(first)["layers"]


def test_what_goes_is_what_no_other_slug_of_the_app_has(place: Place) -> None:
    """A rollback target keeps every layer it shares with a slug that retention takes away."""
    builder = place.builder()
    old, kept = place.slug("old.py"), place.slug("new.py")
    gone, stays = builder.image("app", UID, old), builder.image("app", UID, kept)
    assert gone is not None
    assert stays is not None
    theirs = {each["digest"] for each in place.content(gone)["layers"]}
    builder.remove_slug("app", old.digest, old.layers, keep_layers=kept.layers)
    assert place.get(gone, "manifests", gone.partition("@")[2]).status_code == 404
    still = {each["digest"] for each in place.content(stays)["layers"]}
    for digest in still:
        assert place.get(stays, "blobs", digest).status_code == 200
    for digest in theirs - still:
        assert place.get(stays, "blobs", digest).status_code == 404
    assert place.inner.removed == [old.digest]


def test_without_the_registry_known_images_start_and_new_ones_say_why(tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as where:
        found = Registry(f"http://{where}")
        (tmp_path / "layers").mkdir()
        layer = found.put_bytes("stack", b"base")
        configuration = json.dumps({"rootfs": {"diff_ids": [layer]}}).encode()
        digest = found.put_bytes("stack", configuration)
        found.put_manifest("stack", "24", {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(configuration), "digest": digest},
            "layers": [{"mediaType": LAYER, "size": 4, "digest": layer}],
        })  # fmt: skip
        place = Place(f"http://{where}", Inner(tmp_path / "layers"), found, tmp_path / "work")
        builder, slug = place.builder(), place.slug("main.py")
        first = builder.image("app", UID, slug)
    assert builder.image("app", UID, slug) == first
    with pytest.raises(BuildFailed) as failure:
        builder.image("app", UID, place.slug("other.py"))
    assert failure.value.code == "registry_failed"
    assert "does not answer" in str(failure.value)
    found.close()
