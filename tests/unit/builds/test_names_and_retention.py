from __future__ import annotations

import pytest

from skypanel.builds.names import UnknownBuildpack, resolve, resolve_all
from skypanel.builds.retention import Kept, removals


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ("heroku/python", "builtin:python"),
        ("heroku/nodejs", "builtin:nodejs"),
        ("heroku/ruby", "https://github.com/heroku/heroku-buildpack-ruby"),
        ("https://host/bp.git#v2", "https://host/bp.git#v2"),
        ("git@host:team/bp.git", "git@host:team/bp.git"),
        ("builtin:static", "builtin:static"),
    ],
)
def test_short_names_and_urls_resolve(entry: str, target: str) -> None:
    assert resolve({}, entry) == target


def test_an_operators_table_wins() -> None:
    assert resolve({"heroku/python": "https://mine/python.git"}, "heroku/python") == "https://mine/python.git"


@pytest.mark.parametrize("entry", ["heroku/nothing", "builtin:nothing", "file:///x", "-x", "", "ext::sh"])
def test_other_names_are_refused(entry: str) -> None:
    with pytest.raises(UnknownBuildpack):
        resolve({}, entry)


def test_auto_means_detection_and_several_keep_their_order() -> None:
    assert resolve_all({}, "auto") == []
    assert resolve_all({}, "") == []
    assert resolve_all({}, "heroku/nodejs, heroku/python") == ["builtin:nodejs", "builtin:python"]


def test_the_newest_and_those_in_use_stay_and_shared_layers_with_them() -> None:
    slugs = [
        Kept("4", "d4", ["s4", "deps"]),
        Kept("3", "d3", ["s3", "deps"]),
        Kept("2", "d2", ["s2", "old"]),
        Kept("1", "d1", ["s1", "deps"]),
    ]

    found = removals(slugs, keep=2, in_use={"2"})

    assert [(removal.id, removal.keep_layers) for removal in found] == [("1", ["deps", "old", "s2", "s3", "s4"])]


def test_an_archive_that_another_slug_shares_stays() -> None:
    found = removals([Kept("2", "same", ["s2"]), Kept("1", "same", ["s1"])], keep=1, in_use=())

    assert found[0].keep_archive
