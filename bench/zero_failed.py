"""Requests that fail while twenty deploys, rollbacks, scales, restarts and environment changes run: none may.

Load: 100 new connections a second, keep-alive clients, a WebSocket, an event stream, 10-second requests. A WebSocket
that is closed with 1001 and an event stream that ends properly are reconnects, counted apart; anything else fails.
`python -m bench.zero_failed [rounds] [runtime]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from git_http import GitHttpServer
from load import Load
from load import running as loaded
from sample_apps import load_target
from site_under_test import Client, eventually, site

from bench.report import Row, median, percentile, publish

SLUG = "target"
PAUSE_S = 0.5  # so that replicas end between verbs too, not only after the last
DRAIN_S = "15"  # longer than the slow requests; open WebSockets and event streams are told to go after it
REQUESTS = ("new", "keep-alive", "slow", "websocket", "events")


@contextmanager
def under_load(client: Client, address: str) -> Iterator[Load]:
    load = Load(f"{SLUG}.apps.localhost", client.site.port, address)
    with loaded(load):
        eventually(lambda: load.done["new"] > 50, what="load")
        yield load


def draining(client: Client) -> bool:
    return any(replica["state"] == "draining" for replica in client.replicas(SLUG))


def scale(client: Client, number: int) -> None:
    replicas = 3 if number % 2 == 0 else 1
    client.job(client.call("POST", f"/paas/apps/{SLUG}/scale", {"replicas": replicas})["job_id"])


def change_env(client: Client, number: int) -> None:
    answer = client.call("PUT", f"/paas/apps/{SLUG}/env", {"vars": {"APP_VERSION": f"n{number}"}})
    client.ran(SLUG, answer["deployment"]["version"])


def roll_back(client: Client, _number: int) -> None:
    version = client.app(SLUG)["current_version"]
    answer = client.call("POST", f"/paas/apps/{SLUG}/rollback", {"version": version - 1})
    client.ran(SLUG, answer["deployment"]["version"])


VERBS: dict[str, Callable[[Client, int], object]] = {
    "deploy": lambda client, _n: client.deployed(SLUG),
    "rollback": roll_back,
    "scale up and down": scale,
    "restart": lambda client, _n: client.job(client.call("POST", f"/paas/apps/{SLUG}/restart")["job_id"]),
    "environment change": change_env,
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    runtime = sys.argv[2] if len(sys.argv) > 2 else "auto"
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        directory = Path(name)
        settings = {"SKYPANEL_RUNTIME": runtime, "SKYPANEL_STOP_GRACE_S": "3", "SKYPANEL_DRAIN_TIMEOUT_S": DRAIN_S}
        with GitHttpServer(directory / "repositories") as git, site(directory, **settings) as running:
            client = running.register("ada")
            client.create(SLUG, load_target(git), health_check={"type": "http", "path": "/"})
            client.deployed(SLUG)
            rows, detail = every_verb(client, rounds)
    publish("zero_failed", rows, detail={"runtime": runtime, **detail})


def every_verb(
    client: Client, rounds: int, *, address: str = "127.0.0.1", where: str = ""
) -> tuple[list[Row], dict[str, object]]:
    """The verbs, so many times each, on the app that runs already."""
    rows: list[Row] = []
    detail: dict[str, object] = {"rounds of each verb": rounds}
    with under_load(client, address) as at_rest:
        time.sleep(5)
    detail["at rest"] = quick(at_rest)
    for verb, act in VERBS.items():
        took = []
        with under_load(client, address) as load:
            for number in range(rounds):
                began = time.monotonic()
                act(client, number)
                took.append(time.monotonic() - began)
                time.sleep(PAUSE_S)
            eventually(lambda: not draining(client), within=60, what="the end of the old replicas")
        done = {kind: load.done[kind] for kind in REQUESTS}
        missing = [kind for kind, count in done.items() if not count]
        detail[verb] = {
            "done": dict(load.done), "failures": load.failures[:50], "seconds of the verb": median(took),
            **quick(load), "never done": missing,
        }  # fmt: skip
        what = f"failed requests during {rounds} × {verb}{where}"
        rows.append(Row(what, len(load.failures) + len(missing), "failed", 0, note=f"of {sum(done.values()):,}"))
        print(f"{verb}: {done}, {reconnects(load)}, {quick(load)}, failures: {len(load.failures)}", flush=True)
        for failure in load.failures[:10]:
            print(f"  {failure}")
    return rows, detail


def quick(load: Load) -> dict[str, float]:
    """Milliseconds of the requests on new connections."""
    return {f"p{p} ms": round(percentile(load.quick_s, p) * 1000, 1) for p in (50, 99)}


def reconnects(load: Load) -> dict[str, int]:
    return {kind: load.done[kind] for kind in ("websocket reconnects", "event stream reconnects")}


if __name__ == "__main__":
    main()
