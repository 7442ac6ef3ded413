"""A platform with small limits, and apps that want more: each is told in one sentence, and its neighbour answers."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from git_http import Executable, GitHttpServer
from sample_apps import plain_server
from site_under_test import SKYPANEL, Client, Site, eventually, site

pytestmark = pytest.mark.root

GREEDY = """
import http.server, os, subprocess

def disk():
    with open("/app/big", "wb") as file:
        try:
            for _ in range(100_000):
                file.write(bytes(1 << 20))
        except OSError as error:
            return error.strerror
    return "unlimited"

def processes():
    started = []
    try:
        for _ in range(5000):
            started.append(subprocess.Popen(["sleep", "60"]))
    except OSError as error:
        return error.strerror
    finally:
        for each in started:
            each.kill()
    return "unlimited"

def output():
    line = "x" * 1000
    for _ in range(200_000):
        print(line)
    return "printed"

def memory():
    kept = []
    while True:
        kept.append(b"x" * (1 << 22))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {"/disk": disk, "/processes": processes, "/output": output, "/memory": memory}.get(self.path, str)()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(answer).encode())

http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""

BUILDS = {
    "a fork bomb": ("bomb() { bomb | bomb & }; bomb 2> errors; sleep 300", "build_processes", "processes at once"),
    "ten gigabytes of output": ("yes | head -c 10000000000", "build_output", "printed more than 64 KB"),
    "an endless build": ("sleep 600", "build_timeout", "took longer than 10 s"),
    "a memory hog": ("python -c \"b'x' * (4 << 30)\"", "build_memory", "more than its 256 MB of memory"),
    "a disk filler": ("dd if=/dev/zero of=big bs=1M count=20000", "build_disk", "more than its 128 MB of disk"),
    "a disk filler in the cache": (
        'dd if=/dev/zero of="$CACHE_DIR/big" bs=1M count=20000', "build_disk", "more than its 128 MB of disk",
    ),
    "a disk filler below a path too long for the system": (
        "for i in $(seq 40); do mkdir d$(printf '%0200d' 1); cd d*; done; "
        "dd if=/dev/zero of=big bs=1M count=20000",
        "build_disk", "more than its 128 MB of disk",
    ),
    "a sparse file": ("truncate -s 9T big", "build_disk", "larger than 256 MB"),
    "a well of directories": (
        "python -c \"import os\nfor _ in range(2000): os.mkdir('d'); os.chdir('d')\"",
        "buildpack_failed", "nested more",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(
        tmp_path_factory.mktemp("small"),
        SKYPANEL_BUILD_TIME_LIMIT_S="10",
        SKYPANEL_BUILD_MEMORY_MB="256",
        SKYPANEL_BUILD_DISK_MB="128",
        SKYPANEL_BUILD_LOG_LIMIT_KB="64",
        SKYPANEL_HEALTH_DEADLINE_S="8",
        SKYPANEL_STOP_GRACE_S="2",
        SKYPANEL_MAX_APPS_PER_ORG="100",
    ) as running:
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
    """A plan with a disk that is filled quickly."""
    who = {"email": "operator@example.org", "password": "a long password of the operator"}
    env = {**small.env, "SKYPANEL_ADMIN_PASSWORD": who["password"]}
    subprocess.run(
        [SKYPANEL, "admin", "create", "--email", who["email"], "--name", "Operator"],
        env=env,
        check=True,
        capture_output=True,
    )
    signed_in = small.http.post(f"{small.url}/api/auth/login", json=who).json()
    plan = {"slug": "tiny", "name": "Tiny", "cpu_millis": 500, "memory_mb": 128, "disk_mb": 64, "max_replicas": 1,
            "price_per_hour": "0.0001"}  # fmt: skip
    answer = small.http.post(
        f"{small.url}/api/admin/paas/plans", json=plan, headers={"Authorization": f"Bearer {signed_in['token']}"}
    )
    assert answer.status_code == 201, answer.text
    return "tiny"


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
