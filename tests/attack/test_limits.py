"""A platform with small limits, and apps that want more: each is told in one sentence, and its neighbour answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from git_http import Executable, GitHttpServer
from greedy import BUILDS, GREEDY, SMALL, slow_loris, tiny_plan
from sample_apps import plain_server
from site_under_test import Client, Site, eventually, site

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("small"), **SMALL) as running:
        yield running


@pytest.fixture(scope="module")
def neighbour(small: Site, repositories: GitHttpServer) -> Client:
    """A well-behaved tenant with the app `neighbour`."""
    client = small.register("neighbour")
    repositories.make("neighbour", plain_server(body="good neighbour"))
    client.create("neighbour", repositories.url("neighbour"))
    client.deployed("neighbour")
    return client


@pytest.fixture(scope="module")
def hog(small: Site) -> Client:
    return small.register("hog")


@contextmanager
def answering(neighbour: Client) -> Iterator[None]:
    """Every question to the neighbour meanwhile is answered."""
    wrong: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answer = neighbour.get("neighbour")
            if answer.text != "good neighbour":
                wrong.append(f"{answer.status_code} {answer.text[:80]}")
            time.sleep(0.1)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("name", BUILDS)
def test_a_build_that_wants_too_much_fails_with_one_sentence(
    name: str, small: Site, hog: Client, neighbour: Client, repositories: GitHttpServer, unique: Callable[[str], str]
) -> None:
    script, code, words = BUILDS[name]
    app = unique("hog")
    hook = Executable(f"#!/bin/bash\n{script}\n")
    repositories.make(app, {**plain_server(), "bin/post_compile": hook})
    hog.create(app, repositories.url(app))
    with answering(neighbour):
        found = hog.settled(app, hog.deploy(app), within=60)
    assert found["status"] == "failed"
    assert words in found["reason"], found
    assert "\n" not in found["reason"]
    assert found["reason_code"] == code
    assert not list((small.data_dir / "builds").iterdir())


@pytest.fixture(scope="module")
def tiny(small: Site) -> str:
    return tiny_plan(small)


@pytest.fixture(scope="module")
def greedy(tiny: str, hog: Client, repositories: GitHttpServer) -> str:
    repositories.make("greedy", {**plain_server(), "server.py": GREEDY})
    hog.create("greedy", repositories.url("greedy"), plan=tiny)
    hog.deployed("greedy")
    return "greedy"


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        ("disk", "No space left on device"),
        ("processes", "Resource temporarily unavailable"),
        ("output", "printed"),
    ],
)
def test_a_replica_that_wants_too_much_meets_its_own_limit_alone(
    hog: Client, neighbour: Client, greedy: str, wish: str, answer: str
) -> None:
    with answering(neighbour):
        assert hog.get(greedy, f"/{wish}", timeout=120).text == answer
    eventually(lambda: hog.get(greedy).status_code == 200, what="the greedy app again")


def test_a_replica_that_wants_too_much_memory_is_ended_and_the_feed_tells_why(
    hog: Client, neighbour: Client, greedy: str
) -> None:
    with answering(neighbour):
        assert hog.get(greedy, "/memory", timeout=120).status_code >= 500
        eventually(lambda: hog.get(greedy).status_code == 200, what="the greedy app again")
    feed = hog.call("GET", f"/organizations/{hog.organization_id}/activity")["items"]
    assert any("needed more memory than the plan's" in item["message"] for item in feed)


def test_thousands_of_connections_that_never_finish_a_request_keep_nobody_waiting(
    small: Site, neighbour: Client
) -> None:
    with answering(neighbour), slow_loris(small.port, "neighbour.apps.localhost", connections=2000) as opened:
        assert opened >= 1900
        for _ in range(20):
            assert neighbour.get("neighbour").text == "good neighbour"
        assert neighbour.call("GET", "/auth/me")["user"]["email"] == "neighbour@example.org"
