from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from skypanel.drivers.builder.port import BuildCancelled, BuildFailed

if TYPE_CHECKING:
    from conftest import Site
else:
    Site = Any

UID = 234_100
APP = {"Procfile": "web: ./run # it\nrelease: true\n", "run": "#!/bin/sh\n"}


def test_a_build_makes_a_slug_with_process_types_layers_and_an_archive(site: Site) -> None:
    slug = site.build(APP)

    assert slug.process_types == {"web": "./run", "release": "true"}
    assert slug.digest.startswith("sha256:")
    archive = site.builder.archive_path("app", slug.digest)
    assert archive.stat().st_size == slug.size_bytes
    assert (site.builder.layer_path(slug.layers[0]) / "run").read_text() == "#!/bin/sh\n"
    assert any("-----> Slug" in line for line in site.lines)


def test_nothing_of_a_finished_build_stays_but_the_slug(site: Site) -> None:
    site.build(APP)

    assert site.builder.builds() == []


def test_each_release_has_its_own_topmost_layer(site: Site) -> None:
    first = site.build(APP)
    second = site.build({**APP, "run": "#!/bin/sh\necho 2\n"})

    assert first.digest != second.digest
    assert (site.builder.layer_path(first.layers[0]) / "run").read_text() == "#!/bin/sh\n"
    assert (site.builder.layer_path(second.layers[0]) / "run").read_text() == "#!/bin/sh\necho 2\n"


def test_a_build_can_be_repeated_under_its_id(site: Site) -> None:
    request = site.request(APP)

    for _ in range(2):
        slug = site.builder.build(request, log=site.lines.append, cancelled=lambda: False)

    assert site.builder.ensure("app", UID, slug.digest, slug.layers)[0].is_dir()


def test_without_process_types_the_build_fails_and_leaves_nothing(site: Site) -> None:
    with pytest.raises(BuildFailed, match="Procfile") as failed:
        site.build({"README": "x"})

    assert failed.value.code in ("procfile_invalid", "no_buildpack")
    assert site.builder.builds() == []


def test_a_cancelled_build_leaves_nothing_behind(site: Site) -> None:
    request = site.request(APP)

    with pytest.raises(BuildCancelled):
        site.builder.build(request, log=site.lines.append, cancelled=lambda: True)

    assert site.builder.builds() == []
    assert not [path for path in site.data_dir.rglob("*") if request.id in path.name]


def test_cleaning_what_is_not_there_is_no_error(site: Site) -> None:
    site.builder.clean("01900000-0000-7000-8000-000000000000")
    site.builder.clear_cache("nobody")
    site.builder.remove_app("nobody")


def test_a_removed_slug_takes_its_own_layers_and_leaves_those_of_others(site: Site) -> None:
    first = site.build(APP)
    second = site.build({**APP, "more": "1"})

    site.builder.remove_slug("app", first.digest, first.layers, keep_layers=second.layers)

    assert not site.builder.archive_path("app", first.digest).exists()
    assert not site.builder.layer_path(first.layers[0]).exists()
    assert site.builder.ensure("app", UID, second.digest, second.layers)[0].is_dir()


def test_layers_that_were_removed_come_back_from_the_archive(site: Site) -> None:
    slug = site.build(APP)
    for layer in slug.layers:
        shutil.rmtree(site.builder.layer_path(layer))

    paths = site.builder.ensure("app", UID, slug.digest, slug.layers)

    assert paths == [site.builder.layer_path(layer) for layer in slug.layers]
    assert paths[0].is_dir()


def test_a_slug_that_is_lost_altogether_is_an_os_error(site: Site) -> None:
    slug = site.build(APP)
    site.builder.remove_app("app")

    with pytest.raises(OSError, match="deploy again"):
        site.builder.ensure("app", UID, slug.digest, slug.layers)
