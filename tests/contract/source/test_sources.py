from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from git_http import Executable, Link

from skypanel.drivers.source.port import Commit, FetchFailed

if TYPE_CHECKING:
    from conftest import Host
else:
    Host = Any

UID = 234_001
FILES = {"app.py": "print(1)\n", "bin/run": Executable("#!/bin/sh\n"), "etc": Link("/etc"), "d/e/f.bin": b"\0\xff"}


def fetch(host: Host, name: str, **options: Any) -> Commit:
    wanted: dict[str, Any] = {
        "branch": "",
        "mirror": name,
        "uid": UID,
        "log": lambda _: None,
        "cancelled": lambda: False,
    }
    return host.source.fetch(host.url(name), **{**wanted, **options})


def test_a_fetch_pins_the_newest_commit_of_the_default_branch(host: Host) -> None:
    host.make("shop", FILES)
    sha = host.commit("shop", {"app.py": "print(2)\n"}, message="Say two")

    commit = fetch(host, "shop")

    assert commit == Commit(sha, "Say two", "Ada <ada@example.org>", "main")


def test_the_next_fetch_sees_the_next_commit(host: Host) -> None:
    first = host.make("shop", FILES)
    assert fetch(host, "shop").sha == first

    second = host.commit("shop", {"app.py": "print(2)\n"})

    assert fetch(host, "shop").sha == second


def test_another_branch_can_be_fetched_into_the_same_mirror(host: Host) -> None:
    main = host.make("shop", FILES)
    other = host.commit("shop", {"app.py": "print(3)\n"}, branch="feature/x")

    assert fetch(host, "shop", branch="feature/x").sha == other
    assert fetch(host, "shop", branch="main").sha == main


def test_an_older_commit_can_be_asked_for(host: Host) -> None:
    first = host.make("shop", FILES)
    host.commit("shop", {"app.py": "print(2)\n"})
    fetch(host, "shop")

    assert fetch(host, "shop", commit=first).sha == first
    assert next(e for e in host.source.tree("shop", first) if e.path == "app.py").size == len("print(1)\n")


def test_a_missing_branch_names_those_that_exist(host: Host) -> None:
    host.make("shop", FILES)

    with pytest.raises(FetchFailed, match="main") as failed:
        fetch(host, "shop", branch="nope")

    assert failed.value.code == "git_branch_missing"


def test_an_empty_repository_is_said_to_be_empty(host: Host) -> None:
    host.make("shop", {})

    with pytest.raises(FetchFailed, match="push your code") as failed:
        fetch(host, "shop")

    assert failed.value.code == "git_empty"


def test_an_unknown_repository_asks_for_the_url_or_credentials(host: Host) -> None:
    with pytest.raises(FetchFailed) as failed:
        fetch(host, "nothing-here")

    assert failed.value.code == "git_auth"


def test_a_commit_that_is_not_there_is_refused(host: Host) -> None:
    host.make("shop", FILES)

    with pytest.raises(FetchFailed):
        fetch(host, "shop", commit="0" * 40)


def test_the_tree_lists_files_with_modes_and_sizes_and_reads_them(host: Host) -> None:
    commit = fetch(host, "shop") if host.make("shop", FILES) else None
    assert commit is not None

    tree = {entry.path: entry for entry in host.source.tree("shop", commit.sha)}

    assert {path: entry.mode for path, entry in tree.items()} == {
        "app.py": "100644", "bin/run": "100755", "etc": "120000", "d/e/f.bin": "100644",
    }  # fmt: skip
    assert host.source.read("shop", tree["d/e/f.bin"]) == b"\0\xff"
    assert host.source.read("shop", tree["app.py"], limit=5) == b"print"


def test_a_checkout_writes_files_rights_and_links_as_they_are_in_git(host: Host, tmp_path: Path) -> None:
    host.make("shop", FILES)
    commit = fetch(host, "shop")
    target = tmp_path / "out"
    target.mkdir()

    host.source.checkout("shop", commit.sha, to=target, uid=UID, url=host.url("shop"), log=lambda _: None)

    assert (target / "app.py").read_text() == "print(1)\n"
    assert (target / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (target / "app.py").stat().st_mode & 0o777 == 0o644
    assert str((target / "etc").readlink()) == "/etc"
    assert (target / "d/e/f.bin").read_bytes() == b"\0\xff"
    if os.geteuid() == 0:
        assert {p.lstat().st_uid for p in target.rglob("*")} == {UID}


def test_a_removed_mirror_is_gone_and_can_be_made_again(host: Host) -> None:
    sha = host.make("shop", FILES)
    fetch(host, "shop")

    host.source.remove("shop")
    host.source.remove("shop")

    with pytest.raises(FetchFailed):
        host.source.tree("shop", sha)
    assert fetch(host, "shop").sha == sha


@pytest.mark.parametrize("url", ["file:///etc", "ext::sh -c id", "/etc", "--upload-pack=id", "git://host/x"])
def test_urls_that_could_do_harm_are_refused_before_anything_is_fetched(host: Host, url: str) -> None:
    with pytest.raises(FetchFailed) as refused:
        host.source.check_url(url)
    assert refused.value.code == "git_refused"

    with pytest.raises(FetchFailed) as refused:
        host.source.fetch(url, branch="", mirror="m", uid=UID, log=lambda _: None, cancelled=lambda: False)
    assert refused.value.code == "git_refused"


def test_a_branch_cannot_smuggle_an_option_or_a_refspec(host: Host) -> None:
    host.make("shop", FILES)

    for branch in ("--upload-pack=id", "a:refs/heads/b", "+main", "x y"):
        with pytest.raises(FetchFailed):
            fetch(host, "shop", branch=branch)


@pytest.mark.parametrize("commit", ["--output=/tmp/x", "HEAD", "main", "abc123", "0" * 41])
def test_a_commit_is_a_full_id_and_nothing_else(host: Host, commit: str) -> None:
    host.make("shop", FILES)

    with pytest.raises(FetchFailed) as refused:
        fetch(host, "shop", commit=commit)

    assert refused.value.code == "git_refused"
