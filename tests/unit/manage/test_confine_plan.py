import os
from pathlib import Path

import pytest

from skypanel.manage.confine import CannotConfine, View, closed_ancestor, plan, trail

NOBODY = 64_999


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that others may pass through, whatever the modes of pytest's own."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.getuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    return tmp_path


def closed(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def test_what_can_be_reached_is_left_alone(open_path: Path) -> None:
    code = open_path / "code"
    code.mkdir()
    assert plan(View([code]), uid=NOBODY, gid=NOBODY).covers == []


def test_the_topmost_closed_directory_is_covered_and_needed_paths_are_bound_back(open_path: Path) -> None:
    outer = closed(open_path / "home")
    inner = closed(outer / "inner")
    code = inner / "code"
    code.mkdir()
    made = plan(View([code]), uid=NOBODY, gid=NOBODY)
    assert made.covers == [outer]
    assert made.binds == [(code, False)]


def test_only_the_named_parts_of_the_data_directory_are_seen(open_path: Path) -> None:
    data = open_path / "data"
    for name in ("db", "keys", "containers"):
        (data / name).mkdir(parents=True)
    made = plan(View([data / "keys"], [data / "db"], covered=[data]), uid=NOBODY, gid=NOBODY)
    assert made.covers == [data]
    assert made.binds == [(data / "db", True), (data / "keys", False)]


def test_a_data_directory_below_a_closed_one_is_not_shown_as_a_whole(open_path: Path) -> None:
    home = closed(open_path / "home")
    for name in ("src", "data/db", "data/containers"):
        (home / name).mkdir(parents=True)
    made = plan(View([home / "src"], [home / "data/db"], covered=[home / "data"]), uid=NOBODY, gid=NOBODY)
    assert made.covers == [home]
    assert [path for path, _ in made.binds] == [home / "data/db", home / "src"]


def test_links_on_the_way_are_made_again(open_path: Path) -> None:
    home = closed(open_path / "home")
    (home / "versions/3.11").mkdir(parents=True)
    (home / "current").symlink_to("versions/3.11")
    made = plan(View([home / "current"]), uid=NOBODY, gid=NOBODY)
    assert made.links == [(home / "current", "versions/3.11")]
    assert made.binds == [(home / "versions/3.11", False)]


def test_a_path_inside_of_another_needed_one_is_bound_once(open_path: Path) -> None:
    home = closed(open_path / "home")
    (home / "venv/lib").mkdir(parents=True)
    made = plan(View([home / "venv", home / "venv/lib"]), uid=NOBODY, gid=NOBODY)
    assert made.binds == [(home / "venv", False)]


def test_what_does_not_exist_is_not_needed(open_path: Path) -> None:
    assert plan(View([open_path / "python311.zip"]), uid=NOBODY, gid=NOBODY).binds == []


def test_the_owner_passes_through_what_is_his(open_path: Path) -> None:
    mine = closed(open_path / "mine")
    (mine / "code").mkdir()
    assert closed_ancestor(mine / "code", uid=mine.stat().st_uid, gid=NOBODY) is None
    assert closed_ancestor(mine / "code", uid=NOBODY, gid=NOBODY) == mine


def test_a_circle_of_links_is_an_error_and_not_an_endless_loop(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CannotConfine, match="too many levels"):
        trail(tmp_path / "a")
