"""What only the real source does: credentials, redirects, private addresses, limits, submodules, hostile repositories."""
# ruff: noqa: E501 - tables of cases, one a line

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_http import GitHttpServer, Link
from hostile_git import hostile_tree, with_submodule

from skypanel.drivers.source.git import MAX_PACKS, GitSource
from skypanel.drivers.source.port import Commit, Credentials, FetchFailed
from skypanel.kit.secret import Secret

UID = 234_002
Fetch = Callable[..., Commit]


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


def fetch(source: GitSource, url: str, **options: object) -> Commit:
    wanted = {"branch": "main", "mirror": "app", "uid": UID, "log": lambda _: None, "cancelled": lambda: False}
    return source.fetch(url, **{**wanted, **options})  # type: ignore[arg-type]


def test_a_private_address_is_refused_without_a_single_request(server: GitHttpServer, mirrors: Path) -> None:
    server.make("shop", {"a": "1"})

    with pytest.raises(FetchFailed, match="private address") as refused:
        fetch(GitSource(mirrors_dir=mirrors), server.url("shop"))

    assert refused.value.code == "git_refused"
    assert server.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(server: GitHttpServer, mirrors: Path) -> None:
    server.make("shop", {"a": "1"})
    source = GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"], resolve=lambda *_: ["127.0.0.1"])

    # A name that no resolver knows: git can only get there by the address it was given.
    commit = fetch(source, f"http://rebound.invalid:{server.port}/shop.git")

    assert len(commit.sha) == 40


def test_a_redirect_is_not_followed(server: GitHttpServer, source: GitSource) -> None:
    server.make("shop", {"a": "1"})
    server.redirect_to = "http://169.254.169.254"

    with pytest.raises(FetchFailed, match="redirects") as refused:
        fetch(source, server.url("shop"))

    assert refused.value.code == "git_refused"


def test_a_token_opens_a_private_repository_and_is_seen_nowhere(
    tmp_path: Path, source: GitSource, mirrors: Path
) -> None:
    lines: list[str] = []
    with GitHttpServer(tmp_path / "private", token="t0p-s3cret-token") as server:
        server.make("shop", {"a": "1"})
        with pytest.raises(FetchFailed) as refused:
            fetch(source, server.url("shop"), log=lines.append)
        assert refused.value.code == "git_auth"
        with pytest.raises(FetchFailed) as wrong:
            fetch(source, server.url("shop").replace("//", "//ada:wr0ng-s3cret@"), log=lines.append)

        fetch(source, server.url("shop").replace("//", "//x:t0p-s3cret-token@"), log=lines.append)

    kept = [path.read_bytes() for path in mirrors.rglob("*") if path.is_file()]
    said = "\n".join([*lines, str(refused.value), str(wrong.value)])
    assert "s3cret" not in said
    assert not any(b"s3cret" in content for content in kept)


@pytest.fixture
def certificate() -> Iterator[Path]:
    """A certificate of its own for 127.0.0.1 and two names, with its key; where git's user can read it."""
    directory = Path(tempfile.mkdtemp(prefix="skypanel-certificate-"))
    directory.chmod(0o755)
    made = directory / "host.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:git.example,DNS:evil.example"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "1", "-subj", "/CN=host", "-addext", names, "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    made.write_text((directory / "key.pem").read_text() + (directory / "cert.pem").read_text())
    yield made
    shutil.rmtree(directory)


def source_with_credentials(mirrors: Path, certificate: Path, host: str) -> GitSource:
    return GitSource(
        mirrors_dir=mirrors,
        allowed_private_hosts=["127.0.0.1", "git.example", "evil.example"],
        credentials={host: Credentials("x", Secret("t0p-s3cret-token"))},
        passthrough={"GIT_SSL_CAINFO": str(certificate.with_name("cert.pem"))},
        resolve=lambda *_: ["127.0.0.1"],
    )


@pytest.mark.parametrize("host", ["git.example", "GIT.example"])
def test_the_operators_token_opens_the_host_it_is_for(
    tmp_path: Path, mirrors: Path, certificate: Path, host: str
) -> None:
    source = source_with_credentials(mirrors, certificate, "git.example")
    with GitHttpServer(tmp_path / "private", token="t0p-s3cret-token", certificate=certificate) as server:
        server.make("shop", {"a": "1"})

        fetch(source, f"https://{host}:{server.port}/shop.git")

    assert server.authorizations


def test_the_operators_token_is_never_sent_to_a_host_that_a_tenant_names(
    tmp_path: Path, mirrors: Path, certificate: Path
) -> None:
    source = source_with_credentials(mirrors, certificate, "git.example")
    with GitHttpServer(tmp_path / "evil", token="something", certificate=certificate) as server:
        server.make("shop", {"a": "1"})
        with pytest.raises(FetchFailed) as refused:
            fetch(source, f"https://evil.example:{server.port}/shop.git")

    assert refused.value.code == "git_auth"
    assert server.requests
    assert server.authorizations == []


def test_the_operators_token_is_never_sent_without_encryption(tmp_path: Path, mirrors: Path, certificate: Path) -> None:
    source = source_with_credentials(mirrors, certificate, "git.example")
    with GitHttpServer(tmp_path / "plain", token="t0p-s3cret-token") as server:
        server.make("shop", {"a": "1"})
        with pytest.raises(FetchFailed):
            fetch(source, f"http://git.example:{server.port}/shop.git")

    assert server.requests
    assert server.authorizations == []


def test_a_submodule_elsewhere_does_not_get_the_token_of_its_parents_host(
    tmp_path: Path, mirrors: Path, certificate: Path
) -> None:
    source = source_with_credentials(mirrors, certificate, "git.example")
    with (
        GitHttpServer(tmp_path / "private", token="t0p-s3cret-token", certificate=certificate) as server,
        GitHttpServer(tmp_path / "evil", token="something", certificate=certificate) as evil,
    ):
        evil.make("lib", {"b": "1"})
        server.make("shop", {"a": "1"})
        with_submodule(server, "shop", f"https://evil.example:{evil.port}/lib.git", "1" * 40)
        url = f"https://git.example:{server.port}/shop.git"
        commit = fetch(source, url)
        (tmp_path / "out").mkdir()
        with pytest.raises(FetchFailed):
            source.checkout("app", commit.sha, to=tmp_path / "out", uid=UID, url=url, log=lambda _: None)

    assert server.authorizations
    assert evil.requests
    assert evil.authorizations == []


def test_an_unreachable_host_says_so(source: GitSource) -> None:
    with pytest.raises(FetchFailed, match="cannot be reached") as failed:
        fetch(source, "http://127.0.0.1:1/shop.git")

    assert failed.value.code == "git_unreachable"


def test_a_redeploy_costs_one_fetch_and_no_listing_of_refs(server: GitHttpServer, source: GitSource) -> None:
    server.make("shop", {"a": "1"})
    fetch(source, server.url("shop"), branch="")
    server.commit("shop", {"a": "2"})
    server.requests.clear()

    fetch(source, server.url("shop"), branch="")

    assert sum(request.startswith("GET") for request in server.requests) == 1


def test_the_mirror_stays_shallow_and_is_made_anew_before_it_grows_without_end(
    server: GitHttpServer, source: GitSource, mirrors: Path
) -> None:
    server.make("shop", {"a": "0"})
    server.commit("shop", {"a": "1"})
    fetch(source, server.url("shop"))
    packs = mirrors / "app.git" / "objects" / "pack"
    for number in range(MAX_PACKS):
        (packs / f"pack-{number}.pack").write_bytes(b"")

    fetch(source, server.url("shop"))

    assert len(list(packs.glob("*.pack"))) == 1
    assert (mirrors / "app.git" / "shallow").exists()


@pytest.mark.root
def test_git_runs_as_the_applications_user_even_below_a_closed_directory(
    server: GitHttpServer, source: GitSource, mirrors: Path
) -> None:
    mirrors.parent.chmod(0o700)
    server.make("shop", {"a": "1"})

    fetch(source, server.url("shop"))

    packs = list((mirrors / "app.git" / "objects" / "pack").iterdir())
    assert packs
    assert {path.stat().st_uid for path in packs} == {UID}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_cancelled_fetch_ends(silent_port: int, source: GitSource) -> None:
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()

    with pytest.raises(FetchFailed) as failed:
        fetch(source, f"http://127.0.0.1:{silent_port}/x.git", cancelled=asked.is_set)

    assert failed.value.code == "git_cancelled"


def test_a_host_that_never_answers_is_given_up(silent_port: int, mirrors: Path) -> None:
    source = GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"], timeout_s=0.5)

    with pytest.raises(FetchFailed, match="too long"):
        fetch(source, f"http://127.0.0.1:{silent_port}/x.git")


def test_a_repository_beyond_the_size_limit_is_refused(server: GitHttpServer, mirrors: Path) -> None:
    server.make("shop", {"big.bin": os.urandom(3_000_000)})
    source = GitSource(mirrors_dir=mirrors, allowed_private_hosts=["127.0.0.1"], max_bytes=1_000_000)

    with pytest.raises(FetchFailed) as failed:
        fetch(source, server.url("shop"))

    assert failed.value.code == "git_too_large", failed.value


@pytest.mark.parametrize("relative", [True, False])
def test_submodules_come_at_the_commit_that_is_pinned(
    server: GitHttpServer, source: GitSource, tmp_path: Path, relative: bool
) -> None:
    pinned = server.make("lib", {"lib.py": "old"})
    server.commit("lib", {"lib.py": "new"})
    server.make("shop", {"a": "1"})
    with_submodule(server, "shop", "../lib.git" if relative else server.url("lib"), pinned)
    commit = fetch(source, server.url("shop"))
    (tmp_path / "out").mkdir()

    source.checkout("app", commit.sha, to=tmp_path / "out", uid=UID, url=server.url("shop"), log=lambda _: None)

    assert (tmp_path / "out" / "vendor" / "lib" / "lib.py").read_text() == "old"
    source.remove("app")
    assert not list((tmp_path / "mirrors").iterdir())


@pytest.mark.parametrize(
    "url", ["file:///etc", "ext::sh -c 'touch /tmp/pwned'", "http://169.254.169.254/x", "--upload-pack=x"]
)
def test_a_submodules_url_is_checked_as_the_applications_own(
    server: GitHttpServer, source: GitSource, tmp_path: Path, url: str
) -> None:
    sha = server.make("shop", {"a": "1"})
    with_submodule(server, "shop", url, sha)
    commit = fetch(source, server.url("shop"))
    (tmp_path / "out").mkdir()

    with pytest.raises(FetchFailed) as refused:
        source.checkout("app", commit.sha, to=tmp_path / "out", uid=UID, url=server.url("shop"), log=lambda _: None)

    assert refused.value.code == "git_refused"


@pytest.mark.parametrize(
    "entries",
    [
        b"100644 ..\0BLOB",
        b"100644 .git\0BLOB",
        b"100644 ../../x\0BLOB",
        b"120000 a\0BLOB100644 a\0BLOB",
        b"100644 .GIT\0BLOB",
    ],
)
def test_a_hostile_tree_writes_nothing_outside(
    server: GitHttpServer, source: GitSource, tmp_path: Path, entries: bytes
) -> None:
    server.make("shop", {"a": "1"})
    hostile_tree(server, "shop", entries)
    (tmp_path / "deep" / "out").mkdir(parents=True)

    with pytest.raises(FetchFailed):
        commit = fetch(source, server.url("shop"))
        source.checkout("app", commit.sha, to=tmp_path / "deep" / "out", uid=UID, url=server.url("shop"), log=print)

    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]
    assert not (tmp_path / "x").exists()


def test_hooks_attributes_and_filters_of_a_repository_are_never_run(
    server: GitHttpServer, source: GitSource, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    server.make(
        "shop",
        {
            ".gitattributes": "* filter=evil export-subst ident\n", "a": "$Id$ $Format:%H$\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {marker}\n', "hooks/post-checkout": f"touch {marker}",
            "loop": Link("loop"),
        },
    )  # fmt: skip
    commit = fetch(source, server.url("shop"))
    (tmp_path / "out").mkdir()

    source.checkout("app", commit.sha, to=tmp_path / "out", uid=UID, url=server.url("shop"), log=print)

    assert (tmp_path / "out" / "a").read_text() == "$Id$ $Format:%H$\n"
    assert not marker.exists()


def test_files_in_git_lfs_stay_pointers_and_the_log_says_so(
    server: GitHttpServer, source: GitSource, tmp_path: Path
) -> None:
    server.make("shop", {"big": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"})
    commit = fetch(source, server.url("shop"))
    lines: list[str] = []
    (tmp_path / "out").mkdir()

    source.checkout("app", commit.sha, to=tmp_path / "out", uid=UID, url=server.url("shop"), log=lines.append)

    assert any("Git LFS" in line for line in lines)
    assert stat.S_ISREG((tmp_path / "out" / "big").lstat().st_mode)
