# ruff: noqa: E501 - tables of cases, one a line
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skypanel.drivers.source.port import FetchFailed
from skypanel.drivers.source.urls import check_branch, parse, resolve_relative


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "clean"),
    [
        ("https://github.com/you/app.git", "https", "github.com", 443, "https://github.com/you/app.git"),
        ("http://127.0.0.1:3000/a/b", "http", "127.0.0.1", 3000, "http://127.0.0.1:3000/a/b"),
        ("https://ada:t0ken@git.example.org/a.git", "https", "git.example.org", 443, "https://git.example.org/a.git"),
        ("ssh://git@host:2222/a/b.git", "ssh", "host", 2222, "ssh://git@host:2222/a/b.git"),
        ("git@github.com:you/app.git", "ssh", "github.com", 22, "git@github.com:you/app.git"),
        ("https://[2606:4700::1]/x", "https", "2606:4700::1", 443, "https://[2606:4700::1]/x"),
    ],
)
def test_ordinary_urls_are_understood(url: str, scheme: str, host: str, port: int, clean: str) -> None:
    parsed = parse(url)

    assert (parsed.scheme, parsed.host, parsed.port, parsed.clean) == (scheme, host, port, clean)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "/etc/passwd", "../x", "ext::sh -c id", "ext::sh", "git://host/x", "ftp://host/x",
        "-uevil", "--upload-pack=id", "ssh://-oProxyCommand=id/x", "ssh://git@-oProxyCommand=id/x", "git@-host:x",
        "git@host:-x", "ssh://-u@host/x", "https://host", "https://host/", "https:///x", "https://host/x\n", "",
        "https://ho st/x", "https://host/x?y", "https://host/x#y", "https://host:99999/x", "https://host/\x00", "a" * 3000,
        "fd::17", "https://h\u00f6st/x", "https://a%0ab/x",
    ],
)  # fmt: skip
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed) as refused:
        parse(url)

    assert refused.value.code == "git_refused"


def test_a_password_is_never_shown() -> None:
    parsed = parse("https://ada:s3cr3t@host/x")

    assert "s3cr3t" not in repr(parsed)
    assert "s3cr3t" not in parsed.clean
    assert parsed.password is not None
    assert parsed.password.reveal() == "s3cr3t"


@given(st.text(max_size=60))
def test_whatever_is_accepted_can_be_given_to_git_as_an_argument(text: str) -> None:
    try:
        parsed = parse(text)
    except FetchFailed:
        return

    assert parsed.scheme in ("https", "http", "ssh")
    assert not parsed.clean.startswith("-")
    assert not parsed.host.startswith("-")
    assert parse(parsed.clean).clean == parsed.clean


@pytest.mark.parametrize("branch", ["", "main", "feature/x", "v1.0", "ü"])
def test_valid_branches_pass(branch: str) -> None:
    check_branch(branch)


@pytest.mark.parametrize(
    "branch",
    [
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "x.lock",
        "a/.b",
        "/a",
        "a/",
        "@",
        "a@{0}",
        "a\\b",
        "a*",
        "[a",
        "a\n",
        "a.",
    ],
)
def test_other_branches_are_refused(branch: str) -> None:
    with pytest.raises(FetchFailed, match="branch"):
        check_branch(branch)


def test_a_submodule_relative_to_its_superproject_stays_on_its_host() -> None:
    assert resolve_relative("https://host/team/app.git", "../lib.git") == "https://host/team/lib.git"
    assert resolve_relative("git@host:team/app.git", "../lib.git") == "git@host:team/lib.git"
    assert resolve_relative("https://host/a", "https://other/b") == "https://other/b"
    with pytest.raises(FetchFailed):
        resolve_relative("https://host/app", "../../../x")
