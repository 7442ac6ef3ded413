from __future__ import annotations

from pathlib import Path

import pytest

from skypanel.settings import Settings
from skypanel.wiring.work import git_credentials


def test_without_a_token_or_key_no_host_gets_any() -> None:
    assert git_credentials(Settings()) == {}


def test_the_token_is_for_github_alone_unless_the_operator_names_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYPANEL_GIT_HTTPS_TOKEN", "t0p-s3cret")
    assert list(git_credentials(Settings())) == ["github.com"]
    monkeypatch.setenv("SKYPANEL_GIT_CREDENTIAL_HOSTS", "git.example, code.example")
    assert list(git_credentials(Settings())) == ["git.example", "code.example"]


def test_the_key_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key")
    monkeypatch.setenv("SKYPANEL_GIT_SSH_KEY_FILE", str(tmp_path / "key"))
    key = git_credentials(Settings())["github.com"].ssh_key
    assert key is not None
    assert key.reveal() == "the key"
