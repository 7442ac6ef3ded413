"""Slugs as images in a real registry."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from publishing_place import UID, Place, place_in

from skypanel.drivers.builder.images import Registry
from skypanel.drivers.builder.port import BuildFailed


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


def test_a_slugs_image_goes_with_it_and_what_others_share_with_it_stays(place: Place) -> None:
    builder = place.builder()
    old, kept = place.slug("old.py"), place.slug("new.py")
    gone, stays = builder.image("app", UID, old), builder.image("app", UID, kept)
    assert gone is not None
    builder.remove_slug("app", old.digest, old.layers, keep_layers=kept.layers)
    assert place.get(gone, "manifests", gone.partition("@")[2]).status_code == 404
    place.pull(stays)
    assert place.inner.removed == [old.digest]


class Disturbed(Registry):
    """Something happens between the last blob of an image and its manifest."""

    def __init__(self, place: Place, *happens: Any) -> None:
        super().__init__(place.registry.url)
        self.happens = list(happens)

    def put_manifest(self, repository: str, tag: str, content: dict[str, Any]) -> str:
        if self.happens:
            self.happens.pop(0)(content)
        return super().put_manifest(repository, tag, content)


def test_retention_takes_no_layer_from_an_image_that_is_being_published(place: Place) -> None:
    old, new = place.slug("old.py"), place.slug("new.py")
    place.builder().image("app", UID, old)
    registry = Disturbed(place, lambda _: place.builder().remove_slug("app", old.digest, old.layers, keep_layers=[]))
    place.pull(place.builder(registry).image("app", UID, new))
    registry.close()


def test_an_image_whose_blobs_went_when_it_was_nearly_published_is_pushed_again_once(place: Place) -> None:
    def lose(content: dict[str, Any]) -> None:
        place.blob(content["layers"][1]["digest"]).unlink()

    registry = Disturbed(place, lose)
    place.pull(place.builder(registry).image("app", UID, place.slug("main.py")))
    assert registry.happens == []
    registry.happens = [lose, lose, lose]
    with pytest.raises(BuildFailed) as failure:
        place.builder(registry).image("app", UID, place.slug("other.py"))
    assert failure.value.code == "registry_failed"
    assert len(registry.happens) == 1
    registry.close()


def test_without_the_registry_known_images_start_and_new_ones_say_why(tmp_path: Path) -> None:
    with place_in(tmp_path) as place:
        registry = Registry(place.registry.url)
        builder, slug = place.builder(registry), place.slug("main.py")
        first = builder.image("app", UID, slug)
    assert builder.image("app", UID, slug) == first
    with pytest.raises(BuildFailed) as failure:
        builder.image("app", UID, place.slug("other.py"))
    assert failure.value.code == "registry_failed"
    assert "does not answer" in str(failure.value)
    registry.close()
