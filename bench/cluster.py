"""Deploy, rollback and scale on two machines of a cluster, and the requests that fail while verbs run: none may.

Times run from the moment before the API request until the first answer of the wanted kind through the ingress. Floor:
the same image as a service made by hand, asked in the organization's own network, in turns with ours.
`python -m bench.cluster [rounds under load]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import Node, inside
from git_http import GitHttpServer
from site_under_test import Client, eventually

from bench import ROOT
from bench.report import Row, median, publish
from bench.visits import Answer, ask, until
from bench.zero_failed import SLUG, draining, every_verb
from cluster import Cluster, cluster

ROUNDS = 5
BAR_S = 4.0
HOST = f"{SLUG}.apps.localhost"
SETTINGS = {"SKYPANEL_STOP_GRACE_S": "3", "SKYPANEL_DRAIN_TIMEOUT_S": "15", "SKYPANEL_MAX_APPS_PER_ORG": "1000"}
Times = dict[str, list[float]]


class ByHand:
    """A service of the application's image, without the platform."""

    def __init__(self, node: Node, app_id: str) -> None:
        self.node, self.number = node, 0
        with node.speaking() as engine:
            ours = next(s for s in engine.get("/services") if s["Spec"]["Labels"].get("skypanel.app") == app_id)
            self.pid = engine.get("/containers/skypanel-ingress/json")["State"]["Pid"]
        task = ours["Spec"]["TaskTemplate"]
        self.template: dict[str, Any] = {
            "ContainerSpec": {"Image": task["ContainerSpec"]["Image"], "Command": ["python3", "/app/server.py"],
                              "Env": ["PORT=5000"], "User": task["ContainerSpec"]["User"], "Dir": "/app"},
            "Networks": task["Networks"],
        }  # fmt: skip
        self.network = task["Networks"][0]["Target"]

    def create(self, replicas: int) -> float:
        """Seconds until all of them answer."""
        self.number += 1
        self.name = f"by-hand-{self.number}"
        began = time.monotonic()
        with self.node.speaking() as engine:
            engine.post("/services/create", {"Name": self.name, "TaskTemplate": self.template,
                                             "Mode": {"Replicated": {"Replicas": replicas}},
                                             "EndpointSpec": {"Mode": "dnsrr"}})  # fmt: skip
        return self._all_answer(replicas) - began

    def scale(self, replicas: int) -> float:
        began = time.monotonic()
        with self.node.speaking() as engine:
            found = engine.get(f"/services/{self.name}")
            spec = {**found["Spec"], "Mode": {"Replicated": {"Replicas": replicas}}}
            engine.post(f"/services/{found['ID']}/update", spec, version=str(found["Version"]["Index"]))
        return self._all_answer(replicas) - began

    def remove(self) -> None:
        with self.node.speaking() as engine:
            engine.delete(f"/services/{self.name}")

    def _all_answer(self, count: int) -> float:
        answered: set[str] = set()
        deadline = time.monotonic() + 60
        with self.node.speaking() as engine:
            while len(answered) < count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name}: {len(answered)} of {count} answer")
                for address in self._addresses(engine.get("/tasks", filters={"service": [self.name]})) - answered:
                    if self._answers(address):
                        answered.add(address)
                time.sleep(0.01)
        return time.monotonic()

    def _addresses(self, tasks: list[dict[str, Any]]) -> set[str]:
        return {
            attached["Addresses"][0].partition("/")[0]
            for task in tasks
            for attached in task.get("NetworksAttachments") or ()
            if attached["Network"]["ID"] == self.network and attached.get("Addresses")
        }

    def _answers(self, address: str) -> bool:
        with inside(self.pid):
            try:
                return ask(5000, "x", address=address, timeout_s=0.3).status == 200
            except OSError:
                return False


class Ours:
    def __init__(self, found: Cluster, client: Client, git: GitHttpServer) -> None:
        self.found, self.client, self.git, self.number = found, client, git, 0
        self.words: dict[str, list[str]] = {}  # of each app, what its releases answer, oldest first

    def commit(self, slug: str, word: str) -> None:
        directory = ROOT / "tests" / "apps" / "load-target"
        files = {path.name: path.read_text() for path in directory.iterdir()}
        files["server.py"] = files["server.py"].replace('os.environ.get("APP_VERSION", "one")', repr(word))
        (self.git.commit if slug in self.words else self.git.make)(slug, files)

    def seen(self, accepts: Callable[[Answer], bool], host: str) -> float:
        return until(80, host, accepts, address=self.found.first.address)

    def deploy(self, slug: str) -> float:
        """Of a new commit, which is made before the clock starts."""
        self.number += 1
        word = f"word{self.number}"
        self.commit(slug, word)
        if slug not in self.words:
            self.client.create(slug, self.git.url(slug), health_check={"type": "http", "path": "/"})
        self.words.setdefault(slug, []).append(word)
        began = time.monotonic()
        version = self.client.deploy(slug)
        took = self.seen(lambda answer: answer.status == 200 and answer.body.startswith(f"{word} "),
                         f"{slug}.apps.localhost") - began  # fmt: skip
        self.client.ran(slug, version)
        return took

    def rollback(self) -> float:
        word = self.words[SLUG][-2]
        self.words[SLUG].append(word)
        version = self.client.app(SLUG)["current_version"] - 1
        began = time.monotonic()
        answer = self.client.call("POST", f"/paas/apps/{SLUG}/rollback", {"version": version})
        took = self.seen(lambda found: found.body.startswith(f"{word} "), HOST) - began
        self.client.ran(SLUG, answer["deployment"]["version"])
        return took

    def scale(self, replicas: int) -> float:
        """Until each of them has answered through the ingress."""
        began = time.monotonic()
        answer = self.client.call("POST", f"/paas/apps/{SLUG}/scale", {"replicas": replicas})
        names: set[str] = set()

        def all_seen(found: Answer) -> bool:
            names.update(found.body.split()[1:2])
            return len(names) == replicas

        took = self.seen(all_seen, HOST) - began
        self.client.job(answer["job_id"])
        return took

    def drained(self) -> None:
        eventually(lambda: not draining(self.client), within=60, what="the end of the old replicas")


def measure(ours: Ours, client: Client) -> tuple[Times, Times]:
    times: Times = {name: [] for name in ("first deploy", "redeploy", "rollback", "scale 1→5")}
    by_hand: Times = {"create": [], "scale": []}
    times["first deploy"].append(ours.deploy(SLUG))
    hand = ByHand(ours.found.first, client.app(SLUG)["id"])
    for number in range(ROUNDS):
        if number:
            times["first deploy"].append(ours.deploy(f"{SLUG}-{number}"))
        for what, act in (("redeploy", lambda: ours.deploy(SLUG)), ("rollback", ours.rollback),
                          ("scale 1→5", lambda: ours.scale(5))):  # fmt: skip
            times[what].append(act())
            ours.drained()
        ours.client.job(client.call("POST", f"/paas/apps/{SLUG}/scale", {"replicas": 1})["job_id"])
        ours.drained()
        by_hand["create"].append(hand.create(1))
        by_hand["scale"].append(hand.scale(5))
        hand.remove()
    return times, by_hand


def first_of_an_organization(found: Cluster, git: GitHttpServer) -> list[float]:
    """Its network is made, and entered by two machines at once: what goes wrong there goes wrong now and then."""
    return [Ours(found, found.register(f"bob{n}"), git).deploy(f"first-{n}") for n in range(2 * ROUNDS)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with cluster("m1", "w1", **SETTINGS) as found, tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        found.init()
        found.join("w1")
        with GitHttpServer(Path(name), address=found.fabric.host) as git:
            client = found.register("ada")
            times, by_hand = measure(Ours(found, client, git), client)
            times["first deploy of an organization, the slowest"] = first_of_an_organization(found, git)
            failed, detail = every_verb(client, rounds, address=found.first.address, where=" on two machines")
    create, scale = median(by_hand["create"]), median(by_hand["scale"])
    rows = [
        Row(f"{what} on two machines", (max if "slowest" in what else median)(seconds), "s", BAR_S,
            scale if "scale" in what else create,
            "s docker service by hand")
        for what, seconds in times.items()
    ]  # fmt: skip
    publish("cluster", [*rows, *failed], detail={"seconds": times, "by hand": by_hand, **detail})


if __name__ == "__main__":
    main()
