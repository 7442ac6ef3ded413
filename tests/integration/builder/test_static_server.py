"""The server that static sites carry, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from skypanel.drivers.builder.sandbox import static

SERVER = Path(static.__file__).with_name("static_server.py")


def serve(root: Path, *options: str) -> tuple[subprocess.Popen[str], httpx.Client]:
    process = subprocess.Popen(
        [sys.executable, "-I", str(SERVER), ".", *options],
        cwd=root,
        env={"PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = process.stdout.readline().rsplit(" ", 1)[1].strip()
    return process, httpx.Client(base_url=f"http://127.0.0.1:{port}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name, text in {
        "index.html": "home", "404.html": "lost", "docs/index.html": "docs", "about.html": "about", "app.mjs": "x",
        ".git-secret": "hidden", "Procfile": "web: x",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    return tmp_path


@pytest.fixture
def client(root: Path) -> Iterator[httpx.Client]:
    process, client = serve(root)
    with client:
        yield client
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert process.stdout is not None
    process.stdout.close()


def test_pages_are_served_with_their_types(client: httpx.Client) -> None:
    assert client.get("/").text == "home"
    assert client.get("/docs/").text == "docs"
    assert client.get("/about").text == "about"
    assert client.get("/app.mjs").headers["content-type"] == "text/javascript"
    assert client.head("/").headers["content-length"] == "4"


@pytest.mark.parametrize(
    "path", ["/nothing", "/.git-secret", "/Procfile", "/../etc/passwd", "/%2e%2e/etc/passwd", "/passwd"]
)
def test_what_is_not_the_sites_is_its_own_404_page(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.text) == (404, "lost")


def test_a_single_page_application_answers_every_route(root: Path) -> None:
    process, client = serve(root, "--fallback")
    with client:
        assert client.get("/some/route").text == "home"
        assert client.get("/missing.js").status_code == 404
    process.terminate()
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()
