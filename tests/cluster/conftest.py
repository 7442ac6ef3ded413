"""A cluster of real engines in network namespaces: three managers, two workers, two of the machines take visitors.

Do: act as operators and visitors would; break machines. Don't: import the platform's rooms. Files run in the order of
their names, and the last ones break things.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cluster_state import BACK_S, in_spite, ready, settled
from git_http import GitHttpServer
from sample_apps import load_target
from site_under_test import Client, eventually

from cluster import Cluster, cluster


@pytest.fixture(scope="session")
def grown() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("these tests run real engines and need root")
    # The deadline of health checks is the platform's own: machines that were lost may take half a minute, once they are
    # back, to hear of the addresses in a network again (docs/decisions/0010-cluster.md, entering networks).
    with cluster(
        "m1", "m2", "m3", "w1", "w2",
        SKYPANEL_DRAIN_TIMEOUT_S="15", SKYPANEL_STOP_GRACE_S="3", SKYPANEL_MAX_APPS_PER_ORG="1000",
    ) as found:  # fmt: skip
        found.init()
        found.join("m2", "--manager", "--ingress")
        found.join("m3", "--manager")
        found.join("w1")
        found.join("w2")
        yield found


@pytest.fixture(scope="session")
def repositories(grown: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHttpServer]:
    with GitHttpServer(tmp_path_factory.mktemp("repositories"), address=grown.fabric.host) as server:
        yield server


@pytest.fixture(scope="session")
def ada(grown: Cluster) -> Client:
    return grown.register("ada")


@pytest.fixture(scope="session")
def root(grown: Cluster) -> Client:
    """The platform's operator."""
    return grown.admin()


@pytest.fixture(scope="session")
def mallory(grown: Cluster) -> Client:
    """Somebody in another organization."""
    return grown.register("mallory")


@pytest.fixture(scope="session")
def target(ada: Client, repositories: GitHttpServer) -> str:
    """An app with two replicas that answers requests of every kind."""
    app = ada.create("target", load_target(repositories), health_check={"type": "http", "path": "/"},
                     plan="standard", replicas=2)  # fmt: skip
    ada.deployed(app["slug"])
    return str(app["slug"])


@pytest.fixture
def whole(grown: Cluster, ada: Client, target: str) -> Iterator[None]:
    wanted = ada.app(target)["formation"]["web"]
    eventually(lambda: settled(grown, ada, target, wanted), within=BACK_S, every=0.5, what="nothing under way")
    yield
    eventually(lambda: in_spite(lambda: ready(grown)), within=BACK_S, every=0.5, what="a whole cluster")
    eventually(
        lambda: in_spite(lambda: settled(grown, ada, target, wanted)), within=BACK_S, every=0.5, what="all replicas"
    )
