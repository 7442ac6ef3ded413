from __future__ import annotations

import pytest

from skypanel.apps.rules import (
    HealthCheck,
    buildpack_shown,
    checked_branch,
    checked_buildpacks,
    checked_git_url,
    checked_health,
    checked_name,
)
from skypanel.drivers.source.port import FetchFailed
from skypanel.errors import Invalid


def anything(url: str) -> None:
    pass


def nothing(url: str) -> None:
    raise FetchFailed("git_refused", "That host is private.")


@pytest.mark.parametrize("branch", ["main", "feature/login", "v1.2", "a_b-c", "äöü", "release/2026-05", "HEAD"])
def test_branches_that_git_allows(branch: str) -> None:
    assert checked_branch(branch) == branch


@pytest.mark.parametrize(
    "branch",
    ["-x", "--upload-pack=id", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b",
     "a.lock", "a/.b", "@", "a@{0}", "a\nb", "a\0b", "a.", "x" * 251, "\u202eabc"],
)  # fmt: skip
def test_branches_that_git_does_not_allow(branch: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_branch(branch)
    assert refused.value.code == "branch_invalid"


def test_no_branch_is_the_default_one() -> None:
    assert checked_branch(None) == checked_branch("  ") == ""


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\0b", "a\u202eb", "\ud800"])
def test_names_that_cannot_be_shown_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_name(name)


def test_a_git_url_is_what_the_source_driver_allows() -> None:
    assert checked_git_url(" https://example.com/x.git ", check=anything) == "https://example.com/x.git"
    with pytest.raises(Invalid) as refused:
        checked_git_url("https://example.com/x.git", check=nothing)
    assert refused.value.code == "git_refused"
    assert refused.value.detail == "That host is private."


@pytest.mark.parametrize(
    "url", ["https://user:s3cret@example.com/x", "https://s3cret@example.com/x", "ssh://git:s3cret@example.com/x"]
)
def test_credentials_in_a_git_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_git_url(url, check=anything)
    assert refused.value.code == "git_url_credentials"
    assert "s3cret" not in refused.value.detail


def test_ssh_users_are_no_credentials() -> None:
    for url in ("ssh://git@example.com/x", "git@example.com:team/x.git"):
        assert checked_git_url(url, check=anything) == url


@pytest.mark.parametrize("url", ["", "x" * 2001, "https://exämple.com", "https://a b", "https://a\n"])
def test_odd_git_urls_are_refused(url: str) -> None:
    def check(url: str) -> None:
        if " " in url:
            raise FetchFailed("git_refused", "no")

    if url == "https://a\n":
        assert checked_git_url(url, check=check) == "https://a"
        return
    with pytest.raises(Invalid):
        checked_git_url(url, check=check)


@pytest.mark.parametrize(
    ("given", "kept", "shown"),
    [
        (None, [], "auto"),
        ("auto", [], "auto"),
        ([], [], "auto"),
        ("heroku/nodejs", ["heroku/nodejs"], "heroku/nodejs"),
        (["heroku/nodejs", "heroku/python"], ["heroku/nodejs", "heroku/python"], ["heroku/nodejs", "heroku/python"]),
        ("https://example.com/bp.git#v2", ["https://example.com/bp.git#v2"], "https://example.com/bp.git#v2"),
        ("builtin:python", ["builtin:python"], "builtin:python"),
    ],
)
def test_buildpacks_come_in_three_forms(given: str | list[str] | None, kept: list[str], shown: object) -> None:
    assert checked_buildpacks(given, check=anything) == kept
    assert buildpack_shown(kept) == shown


@pytest.mark.parametrize(
    "given",
    ["", "../x", "a/b/c", "-x", "A/B", ["auto", "heroku/nodejs"], ["heroku/nodejs"] * 11, "https://e.com/x#a..b",
     "ext::sh -c id", "heroku/nodejs; id", "x" * 90],
)  # fmt: skip
def test_what_is_no_buildpack_is_refused(given: str | list[str]) -> None:
    def check(url: str) -> None:
        if not url.startswith("https://"):
            raise FetchFailed("git_refused", "no")

    with pytest.raises(Invalid):
        checked_buildpacks(given, check=check)


@pytest.mark.parametrize(
    "health",
    [
        HealthCheck(type="exec"),
        HealthCheck(type="http", path="health"),
        HealthCheck(type="http", path="/a b"),
        HealthCheck(type="http", path="/a\r\nHost: x"),
        HealthCheck(type="http", path="/" + "x" * 500),
        HealthCheck(interval_s=0),
        HealthCheck(interval_s=3601),
        HealthCheck(timeout_s=0),
        HealthCheck(timeout_s=61),
        HealthCheck(retries=0),
        HealthCheck(interval_s=3, timeout_s=4),
    ],
)
def test_health_checks_have_bounds(health: HealthCheck) -> None:
    with pytest.raises(Invalid) as refused:
        checked_health(health)
    assert refused.value.errors


def test_an_ordinary_health_check_passes() -> None:
    assert checked_health(HealthCheck(type="http", path="/health?full=1", interval_s=10)).path == "/health?full=1"
