"""Repositories and hosts that want to run commands on the platform, to make it ask for them what they cannot reach, or
to fill its memory. More of it in tests/integration/source, tests/contract/source and tests/unit/source."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from git_http import GitHttpServer, git, write
from hostile_git import bomb, commit_tree, hostile_tree, raw_tree, saying, with_submodule

from skypanel.drivers.source import command, submodules
from skypanel.drivers.source.addresses import pinned
from skypanel.drivers.source.git import GitSource
from skypanel.drivers.source.port import Commit, FetchFailed
from skypanel.drivers.source.submodules import parse_gitmodules
from skypanel.kit.ids import new_id

if TYPE_CHECKING:
    from api_under_test import Api

UID = 234_003


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttpServer]:
    with GitHttpServer(tmp_path / "host") as server:
        yield server


@pytest.fixture
def mirrors(tmp_path: Path) -> Path:
    (tmp_path / "mirrors").mkdir()
    return tmp_path / "mirrors"


@pytest.fixture
def source(mirrors: Path) -> GitSource:
    return GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"])


def fetch(source: GitSource, url: str, **options: Any) -> Commit:
    wanted = {"branch": "main", "mirror": "app", "uid": UID, "log": lambda _: None, "cancelled": lambda: False}
    return source.fetch(url, **{**wanted, **options})


def checked_out(source: GitSource, url: str, to: Path, log: Callable[[str], None] = print) -> Path:
    commit = fetch(source, url)
    to.mkdir(parents=True)
    source.checkout("app", commit.sha, to=to, uid=UID, url=url, log=log)
    return to


# --- to run a command


URLS = [
    "ext::sh -c 'touch {marker}'", "ext::touch%20{marker}", "EXT::touch {marker}", "fd::3", "file://{repository}",
    "{repository}", "file://localhost{repository}", "--upload-pack=touch {marker}", "-u touch {marker}",
    "ssh://-oProxyCommand=touch%20{marker}/x", "ssh://host/x --upload-pack=x", "-oProxyCommand=touch {marker}:x",
    "git@-oProxyCommand=touch:x", "ssh://x@-oProxyCommand=touch/x", "git://127.0.0.1/x", "https://host/x\n--upload-pack",
    "https://host/x\0", "https://host/\rx", "ftp://127.0.0.1/x", "http://127.0.0.1/x?service=git-upload-pack&x",
    "rsync://127.0.0.1/x", "dict://127.0.0.1/x", "gopher://127.0.0.1/x", "transport::http://127.0.0.1/x",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_no_url_runs_a_command_or_reads_a_file(
    source: GitSource, server: GitHttpServer, tmp_path: Path, url: str
) -> None:
    server.make("shop", {"a": "1"})
    marker = tmp_path / "ran"
    url = url.format(marker=marker, repository=server.root / "shop.git")
    for ask in (source.check_url, lambda url: fetch(source, url)):
        with pytest.raises(FetchFailed) as refused:
            ask(url)
        assert refused.value.code == "git_refused"
    with_submodule(server, "shop", url.split("\n")[0], "1" * 40)
    with pytest.raises(FetchFailed):
        checked_out(source, server.url("shop"), tmp_path / "out")
    assert not marker.exists()


@pytest.mark.parametrize("field", ["git_url", "buildpack"])
@pytest.mark.parametrize("url", URLS)
def test_the_api_refuses_them_before_anything_is_kept(api: Api, mirrors: Path, field: str, url: str) -> None:
    services = replace(api.services, check_git_url=GitSource(mirrors_dir=mirrors).check_url)
    api.client.app.state.services = services  # type: ignore[attr-defined]
    mallory = api.register("mallory@example.com", "Evil")
    body = {"name": "Shop", "git_url": "https://git.example.org/x.git", field: url}
    answer = mallory.post("/api/paas/apps", body)
    assert answer.status_code in (400, 422), answer.text
    assert mallory.get("/api/paas/apps").json()["items"] == []


@pytest.mark.parametrize(
    "branch", ["-x", "--upload-pack=id", "a\nb", "a\0b", "+a", "a:b", "refs/../x", "@{-1}", "a\x1bb"]
)
def test_no_branch_is_an_option_or_more_than_a_name(source: GitSource, server: GitHttpServer, branch: str) -> None:
    server.make("shop", {"a": "1"})
    with pytest.raises(FetchFailed) as refused:
        fetch(source, server.url("shop"), branch=branch)
    assert refused.value.code in ("git_refused", "git_branch_missing")
    assert server.requests == [] or refused.value.code == "git_branch_missing"


def test_a_repository_inside_of_the_tree_is_nothing_but_files(
    source: GitSource, server: GitHttpServer, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    config = f"[core]\n\tbare = true\n\tfsmonitor = touch {marker}\n\tsshCommand = touch {marker}\n"
    hook = f"#!/bin/sh\ntouch {marker}\n"
    server.make(
        "shop",
        {
            "HEAD": "ref: refs/heads/main\n", "config": config, "objects/x": "", "refs/heads/x": "",
            "hooks/post-checkout": hook,
            "inner/HEAD": "ref: refs/heads/main\n", "inner/config": config, "inner/objects/x": "", "inner/refs/x": "",
            ".lfsconfig": "[lfs]\n\turl = http://169.254.169.254/\n",
            ".gitattributes": "* filter=lfs diff=lfs merge=lfs\n",
            "a.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
        },
    )  # fmt: skip
    out = checked_out(source, server.url("shop"), tmp_path / "out")
    assert (out / "inner" / "config").read_text() == config
    fetch(source, server.url("shop"))
    assert not marker.exists()


@pytest.mark.parametrize("name", [b".git", b".GIT", b".Git", b"..", b".", b"a/../../x", b"/etc/x"])
@pytest.mark.parametrize("mode", [b"100644", b"120000", b"160000"])
def test_no_name_in_a_tree_leads_out_of_it(
    source: GitSource, server: GitHttpServer, tmp_path: Path, name: bytes, mode: bytes
) -> None:
    server.make("shop", {"a": "1"})
    hostile_tree(server, "shop", mode + b" " + name + b"\0BLOB")
    with pytest.raises(FetchFailed):
        checked_out(source, server.url("shop"), tmp_path / "deep" / "out")
    assert not [path for path in (tmp_path / "deep").rglob("*") if path.name != "out"]


def test_modules_that_are_a_link_declare_nothing(source: GitSource, server: GitHttpServer, tmp_path: Path) -> None:
    sha = server.make("shop", {"a": "1"})
    (tmp_path / "target").write_text(f'[submodule "x"]\n\tpath = lib\n\turl = {server.url("shop")}\n')
    link = git("hash-object", "-w", str(tmp_path / "target"), cwd=server.root / "shop.git")
    entries = ((b"120000 .gitmodules", link), (b"160000 lib", sha))
    tree = b"".join(entry + b"\0" + bytes.fromhex(found) for entry, found in entries)
    commit_tree(server, "shop", raw_tree(server, "shop", tree))
    lines: list[str] = []
    out = checked_out(source, server.url("shop"), tmp_path / "out", lines.append)
    assert any("stays empty" in line for line in lines)
    assert not list(out.glob("lib/*"))


def test_a_submodule_is_written_through_no_link(source: GitSource, server: GitHttpServer, tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.mkdir(mode=0o777)
    sha = server.make("lib", {"evil": "1"})
    server.make("shop", {"a": "1"})
    (tmp_path / "target").write_text(str(aim))
    link = git("hash-object", "-w", str(tmp_path / "target"), cwd=server.root / "shop.git")
    modules = tmp_path / "modules"
    modules.write_text(f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = {server.url("lib")}\n')
    declared = git("hash-object", "-w", str(modules), cwd=server.root / "shop.git")
    inner = raw_tree(server, "shop", b"160000 lib\0" + bytes.fromhex(sha))
    tree = raw_tree(
        server, "shop",
        b"100644 .gitmodules\0" + bytes.fromhex(declared) + b"120000 vendor\0" + bytes.fromhex(link)
        + b"40000 vendor\0" + bytes.fromhex(inner),
    )  # fmt: skip
    commit_tree(server, "shop", tree)
    with pytest.raises(FetchFailed):
        checked_out(source, server.url("shop"), tmp_path / "out")
    assert list(aim.iterdir()) == []


def test_nothing_but_path_and_url_is_obeyed_in_the_modules() -> None:
    text = (
        '[submodule "a"]\n\tpath = a\n\turl = https://h/a\n\tupdate = !touch x\n\tbranch = --upload-pack=x\n'
        "\tfetchRecurseSubmodules = true\n[core]\n\tsshCommand = touch x\n[include]\n\tpath = /etc/passwd\n"
    )
    assert set(parse_gitmodules(text).values()) <= {"https://h/a"}


# --- to ask for what the tenant cannot reach

INNER = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]", "localhost",
    "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fe80::1]", "0.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize("host", INNER)
def test_no_way_to_write_an_inner_address_is_asked(server: GitHttpServer, mirrors: Path, host: str) -> None:
    server.make("shop", {"a": "1"})
    with pytest.raises(FetchFailed) as refused:
        fetch(GitSource(mirrors_dir=mirrors), f"http://{host}:{server.port}/shop.git")
    assert refused.value.code in ("git_refused", "git_unreachable")
    assert server.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_to_anywhere(source: GitSource, server: GitHttpServer, status: int) -> None:
    server.make("shop", {"a": "1"})
    to = f"http://127.0.0.1:{server.port}/shop.git/info/refs?service=git-upload-pack"
    with saying({"/info/refs": (status, {"Location": to}, b"")}) as (port, asked):
        with pytest.raises(FetchFailed):
            fetch(source, f"http://127.0.0.1:{port}/shop.git")
        assert asked
    assert server.requests == []


def test_a_name_is_looked_up_once_and_that_address_alone_is_used(server: GitHttpServer, mirrors: Path) -> None:
    """DNS rebinding: the second answer would lead inside."""
    server.make("shop", {"a": "1"})
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254"]])
    source = GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"], resolve=lambda *_: next(answers))
    fetch(source, f"http://rebinding.invalid:{server.port}/shop.git", branch="")
    assert next(answers) == ["169.254.169.254"], "asked more than once"


def test_mixed_answers_are_refused_and_the_operators_word_counts_for_that_host_alone() -> None:
    for answer in (["140.82.121.4", "10.0.0.1"], ["10.0.0.1", "140.82.121.4"], ["::ffff:10.0.0.1"], []):
        with pytest.raises(FetchFailed):
            pinned("evil.example", 443, allowed=("git.internal",), resolve=lambda *_, a=answer: a)


# --- to fill the platform's memory, disk or terminal


@contextmanager
def at_most(*, megabytes: int) -> Iterator[None]:
    """What this process holds at once meanwhile."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < megabytes * 1_000_000, f"{peak:,} bytes"


def test_a_tree_that_unfolds_without_end_is_refused(source: GitSource, server: GitHttpServer, tmp_path: Path) -> None:
    server.make("shop", {"a": "1"})
    bomb(server, "shop")  # a hundred million files
    with pytest.raises(FetchFailed, match=r"more than 200,000 files") as refused, at_most(megabytes=200):
        checked_out(source, server.url("shop"), tmp_path / "out")
    assert refused.value.code == "git_too_large"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_of_zeros_is_never_held_in_memory(source: GitSource, server: GitHttpServer, tmp_path: Path) -> None:
    size = 60 << 20
    server.make("shop", {"package.json": "{}"})
    with (server.work_tree("shop") / "package.json").open("wb") as file:
        file.truncate(size)
    server.commit("shop", {})
    with at_most(megabytes=20):
        out = checked_out(source, server.url("shop"), tmp_path / "out")
        (entry,) = source.tree("app", fetch(source, server.url("shop")).sha)
        assert source.read("app", entry, limit=1000) == bytes(1000)
    assert (out / "package.json").stat().st_size == size


def test_files_larger_together_than_a_build_may_be_are_not_written(
    mirrors: Path, server: GitHttpServer, tmp_path: Path
) -> None:
    server.make("shop", {f"{n}": bytes(1_000_000) for n in range(5)})
    source = GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"], max_bytes=4_000_000)
    with pytest.raises(FetchFailed) as refused:
        checked_out(source, server.url("shop"), tmp_path / "out")
    assert refused.value.code == "git_too_large"
    assert list((tmp_path / "out").iterdir()) == []


def test_submodules_without_end_are_refused(
    source: GitSource, server: GitHttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submodules, "MAX_SUBMODULES", 3)
    sha = server.make("lib", {"a": "1"})
    server.make("shop", {"a": "1"})
    work = server.work_tree("shop")
    names = [f"m{n}" for n in range(10)]
    modules = "".join(f'[submodule "{n}"]\n\tpath = {n}\n\turl = {server.url("lib")}\n' for n in names)
    write(work, {".gitmodules": modules})
    git("add", ".gitmodules", cwd=work)
    for name in names:
        git("update-index", "--add", "--cacheinfo", f"160000,{sha},{name}", cwd=work)
    git("commit", "-q", "-m", "x", cwd=work)
    git("push", "-q", "-f", str(server.root / "shop.git"), "HEAD", cwd=work)
    for _ in range(2):  # each checkout has an allowance of its own
        with pytest.raises(FetchFailed, match="more than 3 submodules"):
            checked_out(source, server.url("shop"), tmp_path / f"out-{new_id()}")
    assert len(list(source._mirrors.glob("app--*"))) == 3


def test_submodules_that_take_too_long_together_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    allowance = submodules.Allowance(10)
    allowance.spend()
    monkeypatch.setattr(submodules.time, "monotonic", lambda now=submodules.time.monotonic(): now + 11)
    with pytest.raises(FetchFailed, match="took too long"):
        allowance.spend()


def test_a_host_that_never_stops_talking_is_hung_up_on(source: GitSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MAX_OUTPUT", 1_000_000)
    line = b"%040x\trefs/heads/x%d\n"
    flood = b"".join(line % (n, n) for n in range(40_000))
    answers = {"/info/refs": (200, {"Content-Type": "text/plain"}, flood)}
    with saying(answers) as (port, _), pytest.raises(FetchFailed) as refused:
        fetch(source, f"http://127.0.0.1:{port}/shop.git", branch="nope")
    assert refused.value.code == "git_too_large"


@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_hosts_words_are_shown_without_what_moves_a_terminal(source: GitSource, status: int) -> None:
    evil = b"\x1b]0;owned\x07\x1b[2J\r<script>\xe2\x80\xaetxt"
    refs = b"1" * 40 + b"\trefs/heads/\x1b[2Jevil\n" + b"1" * 40 + b"\trefs/heads/fine\n"
    answers = {
        "/info/refs": (status, {"Content-Type": "text/plain"}, refs if status == 200 else evil),
        "/HEAD": (200, {"Content-Type": "text/plain"}, b"ref: refs/heads/" + evil),
    }
    for branch in ("", "nope"):
        lines: list[str] = []
        with saying(answers) as (port, _), pytest.raises(FetchFailed) as failed:
            fetch(source, f"http://127.0.0.1:{port}/shop.git", branch=branch, log=lines.append)
        said = str(failed.value) + "".join(lines)
        assert said.replace("\n", "").isprintable(), said
        assert "\n" not in str(failed.value)
