"""What `cluster init` and `join` have made."""

from __future__ import annotations

from typing import Any

import pytest
from site_under_test import Client, eventually

from cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]


def tasks(grown: Cluster) -> dict[str, str]:
    """Task -> its service, of everything that runs."""
    with grown.first.speaking() as engine:
        found: list[dict[str, Any]] = engine.get("/tasks", filters={"desired-state": ["running"]})
        return {each["ID"]: each["ServiceID"] for each in found if each["Status"]["State"] == "running"}


def test_every_machine_is_in_the_swarm_and_does_its_part(grown: Cluster) -> None:
    with grown.first.speaking() as engine:
        nodes = {each["Description"]["Hostname"]: each for each in engine.get("/nodes")}
    assert {name: node["Spec"]["Role"] for name, node in nodes.items()} == {
        "m1": "manager", "m2": "manager", "m3": "manager", "w1": "worker", "w2": "worker",
    }  # fmt: skip
    for name in ("m1", "m2"):
        answer = grown.http.get(f"http://{grown.fabric.nodes[name].address}/readyz", headers={"Host": "localhost"})
        assert answer.json()["checks"] == {"database": "ok", "worker": "ok", "router": "ok"}


def test_init_again_touches_nothing(grown: Cluster, ada: Client) -> None:
    eventually(lambda: len(tasks(grown)) >= 13, what="every part on every machine")  # 3 registries, 5 agents, 5 others
    before = tasks(grown)
    said = grown.init()
    assert "as it was" in said
    assert "started" not in said
    assert tasks(grown) == before


def test_its_services_can_be_read(grown: Cluster) -> None:
    written = {path.name: path.read_text() for path in (grown.data_dir / "cluster").iterdir()}
    assert {"agent.yml", "postgres.yml", "registry.yml", "server.yml", "worker.yml"} <= set(written)
    password = (grown.data_dir / "keys" / "postgres.key").read_text().strip()
    assert not any(password in text for text in written.values())


def test_replicas_are_spread_over_machines_and_answer_at_every_ingress(
    grown: Cluster, ada: Client, target: str
) -> None:
    replicas = ada.replicas(target)
    assert len({replica["node"] for replica in replicas}) == 2
    for name in ("m1", "m2"):
        url = f"http://{grown.fabric.nodes[name].address}/"
        answers = {grown.http.get(url, headers={"Host": f"{target}.apps.localhost"}).text for _ in range(20)}
        assert {answer.split()[1] for answer in answers} == {"web.1", "web.2"}


def test_names_are_made_of_ids_and_variables_are_seen_in_no_inspection(
    grown: Cluster, ada: Client, target: str
) -> None:
    answer = ada.call("PUT", f"/paas/apps/{target}/env", {"vars": {"TOKEN": "canary-7f31c0"}})
    ada.ran(target, answer["deployment"]["version"])
    with grown.first.speaking() as engine:
        services = engine.get("/services")
        text = str([services, engine.get("/tasks"), engine.get("/secrets"), engine.get("/configs")])
    assert "canary-7f31c0" not in text
    names = [each["Spec"]["Name"] for each in services]
    assert not any(target in name for name in names)
    for node in grown.fabric.nodes.values():
        with node.speaking() as engine:
            seen = [engine.get(f"/containers/{each['Id']}/json") for each in engine.get("/containers/json")]
        assert "canary-7f31c0" not in str(seen)


def test_scaling_and_going_back(grown: Cluster, ada: Client, target: str) -> None:
    def answering() -> set[str]:
        return {ada.get(target).text.split()[1] for _ in range(30)}

    ada.job(ada.call("POST", f"/paas/apps/{target}/scale", {"replicas": 3})["job_id"])
    assert answering() == {"web.1", "web.2", "web.3"}
    version = ada.app(target)["current_version"]
    answer = ada.call("POST", f"/paas/apps/{target}/rollback", {"version": version - 1})
    ada.ran(target, answer["deployment"]["version"])
    ada.job(ada.call("POST", f"/paas/apps/{target}/scale", {"replicas": 2})["job_id"])
    eventually(lambda: len(ada.replicas(target)) == 2, within=60, what="two replicas")
    eventually(lambda: len(answering()) == 2, what="two answering")


def test_logs_of_replicas_on_any_machine_are_read(ada: Client, target: str) -> None:
    eventually(lambda: any("listening" in line["message"] for line in ada.logs(target, "&source=app")), what="a line")


def test_a_request_through_any_ingress_is_in_the_apps_log_once(grown: Cluster, ada: Client, target: str) -> None:
    names = ("m1", "m2")
    for name in names:
        url = f"http://{grown.fabric.nodes[name].address}/seen-at-{name}"
        grown.http.get(url, headers={"Host": f"{target}.apps.localhost"})

    def told(name: str) -> int:
        lines = ada.logs(target, f"&source=router&search=seen-at-{name}")
        return sum(f'path="/seen-at-{name}"' in line["message"] for line in lines)

    eventually(lambda: all(told(name) for name in names), within=60, what="a router line of each ingress")
    assert [told(name) for name in names] == [1, 1]


def test_a_one_off_command_runs_in_the_apps_image(ada: Client, target: str) -> None:
    run = ada.call("POST", f"/paas/apps/{target}/run", {"command": "ls; echo done $DYNO; exit 3"})["run"]

    def ended() -> dict[str, Any] | None:
        found = ada.call("GET", f"/paas/apps/{target}/runs/{run['id']}")["run"]
        return dict(found) if found["finished_at"] else None

    found = eventually(ended, within=60, what="the end of the command")
    assert found["exit_code"] == 3
