"""No room on the disk, and a database that somebody else holds: clear words, apps that answer, no help needed after."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from git_http import GitHttpServer
from one_platform import repositories
from sample_apps import plain_server
from site_under_test import Client, eventually, site

__all__ = ["repositories"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
CALM = {
    "SKYPANEL_DRAIN_TIMEOUT_S": "2",
    "SKYPANEL_STOP_GRACE_S": "2",
    "SKYPANEL_HEALTH_DEADLINE_S": "15",
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 400 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def on_small_disk(small_disk: Path) -> Iterator[Client]:
    with site(small_disk, **CALM) as running:
        yield running.register("mallory")


def fill(directory: Path) -> Path:
    """Every byte there is, as a file."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(1 << 16))
    with filler.open("ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x")
    return filler


def asked(client: Client, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {client.token}", "X-Organization-Id": client.organization_id}
    return client.site.http.request(method, f"{client.site.url}/api{path}", json=body, headers=headers)


def test_a_full_disk(on_small_disk: Client, repositories: GitHttpServer) -> None:
    mallory = on_small_disk
    repositories.make("small", plain_server(body="before"))
    mallory.create("small", repositories.url("small"))
    mallory.deployed("small")
    repositories.commit("small", plain_server(body="after"))

    filler = fill(mallory.site.data_dir)
    said = [
        asked(mallory, "GET", "/paas/apps"),
        asked(mallory, "POST", "/paas/apps/small/deploy"),
        asked(mallory, "PUT", "/paas/apps/small/env", {"vars": {"BIG": "x" * 30_000}}),
        asked(
            mallory, "POST", "/auth/login", {"email": "mallory@example.org", "password": "a long password of mallory"}
        ),
    ]
    for _ in range(200):
        assert mallory.get("small").text == "before"
    for answer in said:
        assert answer.status_code < 300 or answer.status_code == 503, answer.text
        if answer.status_code == 503:
            assert answer.json()["code"] == "disk_full", answer.text
    versions = [d["version"] for d in mallory.call("GET", "/paas/apps/small/deployments")["items"]]

    filler.unlink()
    eventually(
        lambda: asked(mallory, "PUT", "/paas/apps/small/env?deploy=false", {"vars": {"A": "1"}}).status_code < 300,
        what="a writable database",
    )
    for version in versions:
        found = mallory.settled("small", version, within=120)
        assert found["status"] in ("running", "superseded", "failed"), found
        assert found["status"] != "failed" or found["reason"], found
    mallory.deployed("small")
    assert mallory.get("small").text == "after"
    eventually(lambda: mallory.logs("small"), what="the app's lines")
    database = sqlite3.connect(f"file:{mallory.site.data_dir}/db/skypanel.db?mode=ro", uri=True)
    with contextlib.closing(database):
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list((mallory.site.data_dir / "builds").iterdir())


@pytest.fixture
def calm(tmp_path: Path) -> Iterator[Client]:
    with site(tmp_path, **CALM) as running:
        yield running.register("carol")


def test_a_database_that_somebody_else_holds(calm: Client, repositories: GitHttpServer) -> None:
    repositories.make("held", plain_server(body="before"))
    calm.create("held", repositories.url("held"))
    calm.deployed("held")
    repositories.commit("held", plain_server(body="after"))
    version = calm.deploy("held")
    holder = sqlite3.connect(calm.site.data_dir / "db" / "skypanel.db", isolation_level=None, timeout=30)
    with contextlib.closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        answer = asked(calm, "PUT", "/paas/apps/held/env?deploy=false", {"vars": {"A": "1"}})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert asked(calm, "GET", "/paas/apps").status_code == 200, "who only reads waits for no writer"
        for _ in range(200):
            assert calm.get("held").status_code == 200
        holder.execute("ROLLBACK")
    assert calm.settled("held", version, within=120)["status"] == "running"
    assert calm.get("held").text == "after"
    assert asked(calm, "PUT", "/paas/apps/held/env?deploy=false", {"vars": {"A": "1"}}).status_code < 300
