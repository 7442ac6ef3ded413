"""Every verb once, on a Flask app from a Git URL, as its developer would use them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from git_http import GitHttpServer
from sample_apps import FLASK
from site_under_test import Client, eventually

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shop(ada: Client, repositories: GitHttpServer) -> str:
    repositories.make("shop", FLASK)
    ada.create("shop", repositories.url("shop"))
    first = ada.deployed("shop")
    assert first["version"] == 1
    return "shop"


def test_a_git_url_becomes_a_running_app(ada: Client, shop: str) -> None:
    app = ada.app(shop)
    assert app["status"] == "running"
    assert app["replicas"] == {"desired": 1, "running": 1, "max": 10}
    deployment = ada.deployment(shop, 1)
    assert deployment["slug_digest"].startswith("sha256:")
    assert deployment["slug_size_bytes"] > 0
    assert len(deployment["commit"]) == 40
    done = [stage["name"] for stage in deployment["stages"] if stage["status"] == "done"]
    assert done == ["fetch", "build", "start", "check", "switch", "drain"]
    assert ada.get(shop).text == "one  web.1"


def test_a_redeploy_serves_the_new_code_and_a_rollback_the_old(
    ada: Client, shop: str, repositories: GitHttpServer
) -> None:
    before = ada.app(shop)["current_version"]
    repositories.commit("shop", {"app.py": FLASK["app.py"].replace("one ", "two ")})
    newer = ada.deployed(shop)
    assert ada.get(shop).text.startswith("two ")
    answer = ada.call("POST", f"/paas/apps/{shop}/rollback", {"version": before})
    back = ada.ran(shop, answer["deployment"]["version"])
    assert back["kind"] == "rollback"
    assert back["rolled_back_from"] == newer["version"]
    assert back["slug_digest"] == ada.deployment(shop, before)["slug_digest"]
    assert {stage["name"] for stage in back["stages"]}.isdisjoint({"fetch", "build", "release"})
    assert ada.get(shop).text.startswith("one ")
    assert "Detect" in ada.build_log(shop, back["version"]) or ada.build_log(shop, back["version"])


def test_a_changed_variable_is_a_release_of_its_own(ada: Client, shop: str) -> None:
    answer = ada.call("PUT", f"/paas/apps/{shop}/env", {"vars": {"GREETING": "hello"}})
    released = ada.ran(shop, answer["deployment"]["version"])
    assert released["kind"] == "env"
    assert "hello" in ada.get(shop).text
    same = ada.call("PUT", f"/paas/apps/{shop}/env", {"vars": {"GREETING": "hello"}})
    assert same["deployment"] is None
    assert "hello" not in str(ada.call("GET", f"/paas/apps/{shop}/env"))


def test_scaling_up_and_down_reaches_every_replica(ada: Client, shop: str) -> None:
    ada.job(ada.call("POST", f"/paas/apps/{shop}/scale", {"replicas": 3})["job_id"])
    seen = {ada.get(shop).text.split()[-1] for _ in range(30)}
    assert seen == {"web.1", "web.2", "web.3"}
    ada.job(ada.call("POST", f"/paas/apps/{shop}/scale", {"replicas": 1})["job_id"])
    assert {ada.get(shop).text.split()[-1] for _ in range(10)} == {"web.1"}
    eventually(lambda: len(ada.replicas(shop)) == 1, what="one replica")
    ada.call("POST", f"/paas/apps/{shop}/scale", {"replicas": 11}, expect=422)


def test_a_stopped_app_says_so_and_a_restart_brings_it_back(ada: Client, shop: str) -> None:
    ada.job(ada.call("POST", f"/paas/apps/{shop}/stop")["job_id"])
    assert ada.app(shop)["status"] == "stopped"
    page = ada.get(shop)
    assert page.status_code == 503
    assert "stopped" in page.text.lower()
    ada.job(ada.call("POST", f"/paas/apps/{shop}/restart")["job_id"])
    assert ada.get(shop).status_code == 200
    assert ada.app(shop)["status"] == "running"


def test_a_one_off_command_has_the_release_and_an_exit_code(ada: Client, shop: str) -> None:
    run = ada.call("POST", f"/paas/apps/{shop}/run", {"command": "echo from $PWD as $DYNO; exit 7"})["run"]
    ended = eventually(
        lambda: (found := ada.call("GET", f"/paas/apps/{shop}/runs/{run['id']}")["run"])["finished_at"] and found,
        what="the command's end",
    )
    assert (ended["status"], ended["exit_code"]) == ("exited", 7)
    lines = ada.call("GET", f"/paas/apps/{shop}/runs/{run['id']}/logs")["items"]
    assert [line["message"] for line in lines] == ["from /app as run.1"]


def test_the_log_has_the_app_the_router_and_the_build(ada: Client, shop: str) -> None:
    ada.get(shop, "/somewhere")
    eventually(
        lambda: any("/somewhere" in line["message"] for line in ada.logs(shop, "&source=router")), what="router line"
    )
    assert any("gunicorn" in line["message"].lower() for line in ada.logs(shop, "&source=app"))
    assert ada.logs(shop, "&source=build")


def test_a_newer_request_supersedes_queued_ones(ada: Client, shop: str) -> None:
    versions = [ada.deploy(shop) for _ in range(4)]
    ada.ran(shop, versions[-1])
    # The first may have begun at once, and be superseded only by the last one's success.
    ends = [ada.deployment(shop, version)["status"] for version in versions]
    assert ends == ["superseded", "superseded", "superseded", "running"]
    assert ada.app(shop)["current_version"] == versions[-1]


def test_another_organization_sees_nothing(ada: Client, mallory: Client, shop: str) -> None:
    app_id = ada.app(shop)["id"]
    for path in ("", "/deployments", "/deployments/1", "/deployments/1/logs", "/env", "/logs", "/replicas"):
        for name in (shop, app_id):
            mallory.call("GET", f"/paas/apps/{name}{path}", expect=404)
    for verb in ("deploy", "restart", "stop"):
        mallory.call("POST", f"/paas/apps/{app_id}/{verb}", expect=404)
    mallory.call("DELETE", f"/paas/apps/{app_id}", expect=404)
    assert app_id not in {app["id"] for app in mallory.call("GET", "/paas/apps")["items"]}


def test_a_deleted_app_leaves_nothing_and_its_name_is_free(
    ada: Client, repositories: GitHttpServer, unique: Callable[[str], str]
) -> None:
    name = unique("gone")
    repositories.make(name, {"index.html": "<h1>hello</h1>"})
    app = ada.create(name, repositories.url(name))
    ada.deployed(name)
    assert "hello" in ada.get(name).text
    ada.call("DELETE", f"/paas/apps/{name}")
    ada.call("GET", f"/paas/apps/{name}", expect=404)
    eventually(lambda: ada.get(name).status_code == 404, what="an unknown host")
    data = ada.site.data_dir

    def left() -> list[str]:
        return [
            str(path)
            for folder in ("layers", "slugs", "mirrors", "cache")
            for path in (data / folder).glob(f"{app['id']}*")
        ]

    eventually(lambda: not left(), what=f"no files left: {left()}")

    def again() -> bool:
        headers = {"Authorization": f"Bearer {ada.token}"}
        body = {"name": name, "git_url": repositories.url(name)}
        return (
            ada.site.http.post(f"{ada.site.url}/api/paas/apps", json=body, headers=headers).json()["app"]["slug"]
            == name
        )

    eventually(again, what="a free name")
