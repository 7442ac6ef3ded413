"""What a neighbour notices of each attack: his visitors' p50, p99 and failed requests beside those at rest, and the one
sentence that each attack ends with. A platform with small limits; visitors come 50 times a second on new connections.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from git_http import Executable, GitHttpServer
from greedy import BUILDS, GREEDY, SMALL, slow_loris, tiny_plan
from sample_apps import plain_server
from site_under_test import Client, Site, eventually, site

from bench.report import Row, percentile, publish
from bench.visits import ask

PER_S, REST_S, AT_LEAST_S = 50, 10.0, 8.0
ATTACKS = ("a fork bomb", "ten gigabytes of output", "an endless build", "a memory hog", "a disk filler")
CONNECTIONS = 2000


@dataclass
class Visits:
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    sentence: str = ""

    def ms(self, percent: float) -> float:
        return percentile(self.seconds, percent) * 1000


@contextmanager
def visited(port: int, host: str, body: str) -> Iterator[Visits]:
    """Visitors of the neighbour while the block runs, and for AT_LEAST_S."""
    found, done = Visits(), threading.Event()

    def visit(began: float) -> None:
        try:
            answer = ask(port, host, timeout_s=20)
            if (answer.status, answer.body) != (200, body):
                found.failed.append(f"{answer.status} {answer.body[:80]}")
            found.seconds.append(time.monotonic() - began)
        except OSError as error:
            found.failed.append(repr(error))

    def come() -> None:
        began, threads = time.monotonic(), []
        for number in range(10**9):
            if done.is_set():
                break
            threads.append(threading.Thread(target=visit, args=(time.monotonic(),)))
            threads[-1].start()
            time.sleep(max(0.0, began + number / PER_S - time.monotonic()))
        for thread in threads:
            thread.join()

    visitors = threading.Thread(target=come)
    began = time.monotonic()
    visitors.start()
    try:
        yield found
        time.sleep(max(0.0, began + AT_LEAST_S - time.monotonic()))
    finally:
        done.set()
        visitors.join()


def build(hog: Client, git: GitHttpServer, number: int, script: str) -> str:
    name = f"hog-{number}"
    git.make(name, {**plain_server(), "bin/post_compile": Executable(f"#!/bin/bash\n{script}\n")})
    hog.create(name, git.url(name))
    return str(hog.settled(name, hog.deploy(name), within=60)["reason"])


def replica(hog: Client, wish: str) -> str:
    answer = hog.get("greedy", f"/{wish}", timeout=120)
    eventually(lambda: hog.get("greedy").status_code == 200, what="the greedy app again")
    if answer.status_code == 200:
        return answer.text
    feed = hog.call("GET", f"/organizations/{hog.organization_id}/activity")["items"]
    return next((str(item["message"]) for item in feed if "memory" in item["message"]), answer.text)


def connections(running: Site, host: str) -> str:
    with slow_loris(running.port, host, connections=CONNECTIONS) as opened:
        time.sleep(AT_LEAST_S)
    return f"{opened} connections were held open"


def attacks(running: Site, hog: Client, git: GitHttpServer) -> dict[str, Callable[[], str]]:
    found: dict[str, Callable[[], str]] = {}
    for number, name in enumerate(ATTACKS):
        script = BUILDS[name][0]
        found[f"build: {name}"] = lambda number=number, script=script: build(hog, git, number, script)  # type: ignore[misc]
    for wish, name in (
        ("processes", "a fork bomb"), ("output", "a flood of output"), ("memory", "a memory hog"),
        ("disk", "a disk filler"), ("cpu", "every core for eight seconds"),
    ):  # fmt: skip
        found[f"replica: {name}"] = lambda wish=wish: replica(hog, wish)  # type: ignore[misc]
    found[f"visitor: slow loris, {CONNECTIONS:,} connections"] = lambda: connections(
        running, "neighbour.apps.localhost"
    )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        directory = Path(name)
        with GitHttpServer(directory / "repositories") as git, site(directory, **SMALL) as running:
            neighbour, hog = running.register("neighbour"), running.register("hog")
            git.make("neighbour", plain_server(body="good neighbour"))
            neighbour.create("neighbour", git.url("neighbour"))
            neighbour.deployed("neighbour")
            git.make("greedy", {**plain_server(), "server.py": GREEDY})
            hog.create("greedy", git.url("greedy"), plan=tiny_plan(running))
            hog.deployed("greedy")
            place = (running.port, "neighbour.apps.localhost", "good neighbour")
            with visited(*place) as rest:
                time.sleep(REST_S)
            seen = {}
            for what, attack in attacks(running, hog, git).items():
                with visited(*place) as found:
                    found.sentence = attack()
                seen[what] = found
                print(f"{what}: p50 {found.ms(50):.1f} ms, p99 {found.ms(99):.1f} ms, {len(found.failed)} of "
                      f"{len(found.seconds)} failed. {found.sentence}", flush=True)  # fmt: skip
    rows = [
        Row(
            f"neighbour's p99 during: {what}", found.ms(99), "ms", None, rest.ms(99), "ms at rest",
            note=f"p50 {found.ms(50):.1f} ms, at rest {rest.ms(50):.1f}",
        )
        for what, found in seen.items()
    ]  # fmt: skip
    asked = sum(len(found.seconds) for found in seen.values())
    failed = [failure for found in seen.values() for failure in found.failed]
    rows.append(Row("neighbour's failed requests during all of them", len(failed), "failed", 0, note=f"of {asked:,}"))
    detail = {
        what: {"p50 ms": found.ms(50), "p99 ms": found.ms(99), "requests": len(found.seconds),
               "failed": found.failed[:20],
               "ended with": found.sentence}
        for what, found in {"at rest": rest, **seen}.items()
    }  # fmt: skip
    publish("attack", rows, detail=detail)


if __name__ == "__main__":
    main()
