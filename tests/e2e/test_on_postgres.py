"""The whole platform on PostgreSQL, once: every verb, and the database gone for a while under a running app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from git_http import GitHttpServer
from sample_apps import plain_server
from site_under_test import Client, eventually, site

pytestmark = [pytest.mark.root, pytest.mark.postgres, pytest.mark.timeout(300)]


class Cluster(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def eve(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Client]:
    with site(
        tmp_path_factory.mktemp("on-postgres"),
        SKYPANEL_DATABASE_URL=postgres_url,
        SKYPANEL_DRAIN_TIMEOUT_S="3",
        SKYPANEL_STOP_GRACE_S="2",
    ) as running:
        yield running.register("eve")


def status_of_the_api(client: Client) -> int:
    headers = {"Authorization": f"Bearer {client.token}"}
    return client.site.http.get(f"{client.site.url}/api/paas/apps", headers=headers).status_code


def test_every_verb_and_an_outage_of_the_database(
    eve: Client, repositories: GitHttpServer, postgres_cluster: Cluster
) -> None:
    repositories.make("on-postgres", plain_server(body="first"))
    eve.create("shop", repositories.url("on-postgres"))
    eve.deployed("shop")
    assert eve.get("shop").text == "first"
    eve.job(eve.call("POST", "/paas/apps/shop/scale", {"replicas": 2})["job_id"])
    assert [replica["name"] for replica in eve.replicas("shop")] == ["web.1", "web.2"]
    repositories.commit("on-postgres", plain_server(body="second"))
    eve.deployed("shop")
    assert eve.get("shop").text == "second"

    repositories.commit("on-postgres", plain_server(body="third"))
    version = eve.deploy("shop")
    postgres_cluster.stop()
    try:
        assert eve.get("shop").status_code == 200
        answer = eve.site.http.get(f"{eve.site.url}/api/paas/apps", headers={"Authorization": f"Bearer {eve.token}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        for _ in range(50):
            assert eve.get("shop").status_code == 200
    finally:
        postgres_cluster.start()
    eventually(lambda: status_of_the_api(eve) == 200, within=30, what="the API after the outage")
    assert eve.settled("shop", version, within=120)["status"] == "running"
    assert eve.get("shop").text == "third"

    rolled_back = eve.call("POST", "/paas/apps/shop/rollback", {"version": 1})["deployment"]["version"]
    eve.ran("shop", rolled_back)
    assert eve.get("shop").text == "first"
    assert eve.logs("shop")
    eve.job(eve.call("DELETE", "/paas/apps/shop")["job_id"])
    eventually(lambda: eve.get("shop").status_code == 404, within=30, what="the end of the app's address")
