"""A one-machine installation becomes a cluster: nobody has to sign in, set or build anything again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from git_http import GitHttpServer
from sample_apps import load_target
from site_under_test import Client, eventually

from cluster import SKYPANEL, Cluster, cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]


@contextmanager
def one_machine(found: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """`skypanel up` on the first machine, as before there was a cluster."""
    node = found.first
    assert node.process is not None
    inside = ["nsenter", "-t", str(node.process.pid), "-n", "-m", "-u", SKYPANEL, "up", "--host", "0.0.0.0"]
    with (found.fabric.directory / "up.log").open("wb") as log:
        up = subprocess.Popen(inside, env=found.env, stdout=log, stderr=log)
        try:
            yield up
        except AssertionError:
            print((found.fabric.directory / "up.log").read_text()[-3000:])
            raise
        finally:
            if up.poll() is None:
                up.terminate()
                up.wait(60)


def answer_of(found: Cluster, slug: str) -> str:
    answer = found.http.get(f"{found.url}/", headers={"Host": f"{slug}.apps.localhost"})
    return answer.text if answer.status_code == 200 else ""


def test_a_platform_and_its_applications_move_into_a_cluster_without_a_build(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        cluster("a1", SKYPANEL_DRAIN_TIMEOUT_S="2", SKYPANEL_STOP_GRACE_S="3") as found,
        one_machine(found) as up,
        GitHttpServer(tmp_path_factory.mktemp("repositories"), address=found.fabric.host) as repositories,
    ):
        eventually(lambda: up.poll() is None and ready(found), within=60, every=0.5, what="the platform")
        ada = found.register("ada")
        app = ada.create("shop", load_target(repositories), plan="standard", replicas=2)
        slug = str(app["slug"])
        ada.call("PUT", f"/paas/apps/{slug}/env", {"vars": {"APP_VERSION": "chosen"}})
        ada.deployed(slug)
        ada.deployed(slug)
        before = history(ada, slug)
        said = found.first.run(SKYPANEL, "cluster", "adopt", "--advertise", found.first.address, "--edge-dir",
                               str(found.edge_dir), env=found.env)  # fmt: skip
        assert up.wait(10) is not None, "it was stopped"
        print(said)
        eventually(lambda: states(ada, slug) == ["healthy", "healthy"], within=90, every=0.5, what="its replicas")
        eventually(lambda: answer_of(found, slug), within=30, every=0.2, what="an answer")
        assert history(ada, slug) == before, "nothing was built or released again"
        assert "chosen" in answer_of(found, slug)
        with found.first.speaking() as engine:
            labels = [each["Spec"]["Labels"] for each in engine.get("/services")]
        assert [each for each in labels if each.get("skypanel.app") == app["id"]], "it runs in the swarm"

        back = ada.call("POST", f"/paas/apps/{slug}/rollback", {"version": 1})
        ada.ran(slug, back["deployment"]["version"])
        ada.deployed(slug)
        assert "healthy" in found.first.run(SKYPANEL, "cluster", "adopt", "--edge-dir", str(found.edge_dir),
                                            env=found.env)  # fmt: skip
        eventually(lambda: answer_of(found, slug), within=30, every=0.2, what="an answer")


def ready(found: Cluster) -> bool:
    try:
        return found.http.get(f"{found.url}/readyz", headers={"Host": "localhost"}).status_code == 200
    except httpx.HTTPError:
        return False


def history(ada: Client, slug: str) -> list[tuple[int, str, str]]:
    found = ada.call("GET", f"/paas/apps/{slug}/deployments?limit=50")["items"]
    return [(each["version"], each["kind"], each["slug_digest"]) for each in found]


def states(ada: Client, slug: str) -> list[str]:
    return [each["state"] for each in ada.replicas(slug) if each["state"] not in ("gone", "draining")]
