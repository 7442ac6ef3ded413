"""A real git client against a real server: clone, fetch, and nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asgi_server import serving
from fastapi import FastAPI

from skypanel.gitserver.routes import router
from skypanel.http import problems
from skypanel.http.context import Services

ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}  # fmt: skip


def git(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["git", *arguments], cwd=cwd, env=ENV, capture_output=True, text=True, timeout=20)
    if check and done.returncode != 0:
        pytest.fail(done.stderr)
    return done


class OnlyGit:
    """The one value of the services that these routes use."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    (work / "app.py").write_text("print('hello')\n")
    (work / "large.bin").write_bytes(os.urandom(3_000_000))
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "First", cwd=work)
    (tmp_path / "git").mkdir()
    git("clone", "-q", "--bare", str(work), str(tmp_path / "git" / "sample.git"), cwd=tmp_path)
    if os.geteuid() == 0:  # as on a real platform: made by root, served by somebody else
        for path in (tmp_path / "git").rglob("*"):
            os.chown(path, 12_345, 12_345)
    return work


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    app = FastAPI()
    services: Services | OnlyGit = OnlyGit(tmp_path / "git")
    app.state.services = services
    problems.install(app)
    app.include_router(router)
    with serving(app) as url:
        yield f"{url}/git"


@pytest.mark.parametrize("protocol", ["0", "2"])
def test_a_clone_and_a_later_fetch_bring_everything(server, repository, tmp_path, protocol):
    version = ("-c", f"protocol.version={protocol}")
    git(*version, "clone", "-q", f"{server}/sample.git", "copy", cwd=tmp_path)
    assert (tmp_path / "copy" / "large.bin").read_bytes() == (repository / "large.bin").read_bytes()
    (repository / "app.py").write_text("print('again')\n")
    git("commit", "-qam", "Second", cwd=repository)
    bare = tmp_path / "git" / "sample.git"
    git("-c", "safe.directory=*", "--git-dir", str(bare), "fetch", "-q", str(repository), "main:main", cwd=tmp_path)
    head = git("rev-parse", "HEAD", cwd=repository).stdout
    git(*version, "pull", "-q", cwd=tmp_path / "copy")
    assert git("rev-parse", "HEAD", cwd=tmp_path / "copy").stdout == head


def test_a_shallow_clone_works(server, repository, tmp_path):
    git("clone", "-q", "--depth", "1", f"{server}/sample.git", "shallow", cwd=tmp_path)
    assert (tmp_path / "shallow" / "app.py").is_file()


def test_a_push_is_refused(server, repository, tmp_path):
    before = git("ls-remote", f"{server}/sample.git", cwd=tmp_path).stdout
    git("commit", "-q", "--allow-empty", "-m", "Mine", cwd=repository)
    done = git("push", f"{server}/sample.git", "main", cwd=repository, check=False)
    assert done.returncode != 0
    assert "403" in done.stderr
    assert git("ls-remote", f"{server}/sample.git", cwd=tmp_path).stdout == before
    assert httpx.post(f"{server}/sample.git/git-receive-pack").json()["code"] == "git_read_only"


@pytest.mark.parametrize("name", ["none", "..%2fsecret", "%2e%2e", ".hidden", "link", "a..b", "Sample", "plain"])
def test_only_repositories_directly_below_the_directory_are_served(server, repository, tmp_path, name):
    secret = tmp_path / "secret.git"
    git("init", "-q", "--bare", str(secret), cwd=tmp_path)
    (tmp_path / "git" / "link.git").symlink_to(secret)
    (tmp_path / "git" / "plain.git").mkdir()
    answer = httpx.get(f"{server}/{name}.git/info/refs", params={"service": "git-upload-pack"})
    assert answer.status_code == 404, answer.text


def test_files_of_the_repository_are_not_served(server, repository):
    for path in ("config", "HEAD", "objects/info/packs", "info/refs"):
        assert httpx.get(f"{server}/sample.git/{path}").status_code in (403, 404)


def test_no_process_is_left_when_the_client_goes_away(server, repository, tmp_path):
    body = b"0032want " + git("rev-parse", "HEAD", cwd=repository).stdout.strip().encode() + b"\n00000009done\n"
    with httpx.stream("POST", f"{server}/sample.git/git-upload-pack", content=body) as answer:
        assert answer.status_code == 200
    marker = str(tmp_path / "git" / "sample.git").encode()

    def left() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if marker in (process / "cmdline").read_bytes():
                    found.append(process.name)
        return found

    for _ in range(200):
        if not left():
            break
        time.sleep(0.02)
    assert left() == []
