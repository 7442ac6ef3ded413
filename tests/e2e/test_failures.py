"""Apps that are wrong in the ways apps are: each fails with the true reason, and the old version keeps serving."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from git_http import Executable, GitHttpServer
from sample_apps import plain_server as server
from site_under_test import Client, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def good(ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]) -> str:
    name = unique("broken")
    repositories.make(name, server())
    # The small plan: touching twice the memory takes a slow machine longer than the health deadline.
    ada.create(name, repositories.url(name), plan="standard")
    ada.deployed(name)
    return name


BROKEN = {
    "ignores PORT": (server(port="8123"), "port_ignored", "8123"),
    "loopback only": (server(address="127.0.0.1"), "port_loopback", "0.0.0.0:$PORT"),
    "404 at /": (server(status=404), "health_status", "answers 404 at /"),
    "crashes at boot": ({"server.py": "raise SystemExit('no database')"}, "crashed_at_start", "exited with code 1"),
    "no such command": ({"Procfile": "web: nosuchprogram\n"}, "crashed_at_start", "not found"),
    "unknown package": ({"requirements.txt": "no-such-package-skypanel-xyz\n"}, None, "no-such-package-skypanel-xyz"),
    "release fails": ({"Procfile": "web: python server.py\nrelease: exit 3\n"}, "release_failed", "exited with 3"),
    "needs more memory": ({"server.py": "x = bytearray(3 * 10**9)"}, "crashed_at_start", "memory"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_version_fails_with_its_reason_and_the_old_one_serves(
    name: str, ada: Client, good: str, repositories: GitHttpServer
) -> None:
    files, code, words = BROKEN[name]
    repositories.commit(good, files)
    found = ada.settled(good, ada.deploy(good))
    assert found["status"] == "failed"
    assert words in found["reason"], found["reason"]
    if code is not None:
        assert found["reason_code"] == code
    app = ada.app(good)
    assert (app["status"], app["current_version"]) == ("running", 1)
    assert ada.get(good).text == "good"
    assert [replica["name"] for replica in ada.replicas(good)] == ["web.1"]


def test_a_first_version_that_never_served_leaves_the_app_failed(
    ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]
) -> None:
    name = unique("never")
    repositories.make(name, server(status=500))
    ada.create(name, repositories.url(name))
    assert ada.settled(name, ada.deploy(name))["status"] == "failed"
    app = ada.app(name)
    assert app["status"] == "failed"
    assert "500" in app["status_reason"]
    assert ada.get(name).status_code == 503


def test_a_process_type_that_is_a_command_is_left_at_zero_unless_asked_for(
    ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]
) -> None:
    name = unique("oneshot")
    repositories.make(name, {**server(), "Procfile": "web: python server.py\nimport: true\nworker: sleep 600\n"})
    ada.create(name, repositories.url(name))
    ada.deployed(name)
    assert [replica["name"] for replica in ada.replicas(name)] == ["web.1", "worker.1"]
    assert "import ended by itself" in ada.build_log(name, 1)
    ada.deployed(name)
    assert "import" not in ada.build_log(name, 2).partition("Starting")[2]

    ada.job(ada.call("POST", f"/paas/apps/{name}/scale", {"replicas": 1, "process_type": "import"})["job_id"])
    assert [r["name"] for r in ada.replicas(name) if r["state"] == "healthy"] == ["web.1", "worker.1"]
    assert any("import.1 ended by itself" in line["message"] for line in ada.logs(name, "&source=system"))


def test_the_last_lines_of_a_crashed_version_are_in_its_log(
    ada: Client, good: str, repositories: GitHttpServer
) -> None:
    repositories.commit(good, {"server.py": "raise SystemExit('the database is not configured')"})
    version = ada.settled(good, ada.deploy(good))["version"]
    assert "the database is not configured" in ada.build_log(good, version)


def test_a_cancelled_build_leaves_nothing_behind(ada: Client, good: str, repositories: GitHttpServer) -> None:
    repositories.commit(good, {"bin/post_compile": Executable("#!/bin/sh\necho sleeping\nsleep 300\n")})
    version = ada.deploy(good)
    eventually(lambda: "sleeping" in ada.build_log(good, version), within=60, what="the build under way")
    ada.call("POST", f"/paas/apps/{good}/deployments/{version}/cancel")
    assert ada.settled(good, version, within=20)["status"] == "cancelled"
    assert not list((ada.site.data_dir / "builds").iterdir())
    assert ada.get(good).text == "good"
    repositories.commit(good, {"bin/post_compile": None})
    ada.deployed(good)


def test_a_dying_replica_is_restarted_and_the_feed_tells_why(
    ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]
) -> None:
    name = unique("dying")
    dying = server()["server.py"].replace(
        "self.send_response(200)", "self.path == '/die' and os._exit(9)\n        self.send_response(200)"
    )
    repositories.make(name, {**server(), "server.py": dying})
    ada.create(name, repositories.url(name))
    ada.deployed(name)
    ada.get(name, "/die")
    eventually(lambda: ada.get(name).status_code == 200, what="an answer again")
    feed = ada.call("GET", f"/organizations/{ada.organization_id}/activity")["items"]
    assert any(item["verb"] == "replica.restarted" and "exited with code 9" in item["message"] for item in feed)
