"""What goes on when processes of the platform are lost. Each test leaves the cluster whole again."""

from __future__ import annotations

import os
import signal
import time

import pytest
from cluster_state import BACK_S, app_tasks, deployed_in_spite, load_on, parts, ready, scale_part
from load import running
from site_under_test import Client, eventually

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200), pytest.mark.usefixtures("whole")]


def test_without_control_plane_and_database_no_request_fails_and_afterwards_nothing_changes(
    grown: Cluster, ada: Client, target: str
) -> None:
    app_id = ada.app(target)["id"]
    before = {task["ID"] for task in app_tasks(grown, app_id)}
    with running(load_on(grown, target)) as load:
        for name in ("server", "worker", "postgres"):
            scale_part(grown, name, 0)
        eventually(lambda: not any(parts(grown, name) for name in ("server", "worker", "postgres")), within=90)
        time.sleep(float(os.environ.get("SKYPANEL_TEST_AWAY_S", "30")))
        for name, copies in (("postgres", 1), ("server", 2), ("worker", 2)):
            scale_part(grown, name, copies)
        eventually(lambda: ready(grown), within=BACK_S, every=0.5, what="a whole cluster")
        time.sleep(40)  # a whole reconciliation
    assert load.failures == []
    assert {task["ID"] for task in app_tasks(grown, app_id)} == before


@pytest.mark.parametrize("part", ["server", "worker"])
def test_losing_a_copy_of_the_control_plane_is_unnoticed(part: str, grown: Cluster, ada: Client, target: str) -> None:
    with running(load_on(grown, target)) as load:
        _, pid = parts(grown, part)[0]
        os.kill(pid, signal.SIGKILL)
        deployed_in_spite(ada, target)
    assert load.failures == []
    eventually(lambda: len(parts(grown, part)) == 2, within=60, what="two copies again")
