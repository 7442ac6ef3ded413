"""What people do to an app, each through the API to its end: by number of its round."""

from __future__ import annotations

from collections.abc import Callable

from load import Load, running
from site_under_test import Client, eventually


def scale(client: Client, slug: str, replicas: int) -> None:
    client.job(client.call("POST", f"/paas/apps/{slug}/scale", {"replicas": replicas})["job_id"])


def change_env(client: Client, slug: str, number: int) -> None:
    answer = client.call("PUT", f"/paas/apps/{slug}/env", {"vars": {"APP_VERSION": f"n{number}"}})
    client.ran(slug, answer["deployment"]["version"])


def roll_back(client: Client, slug: str) -> None:
    version = client.app(slug)["current_version"]
    answer = client.call("POST", f"/paas/apps/{slug}/rollback", {"version": version - 1})
    client.ran(slug, answer["deployment"]["version"])


def no_request_fails(load: Load, client: Client, slug: str, verb: str, rounds: int) -> None:
    """The verb so many times, while requests of every kind run."""
    with running(load):
        eventually(lambda: load.done["new"] > 50, what="load")
        for number in range(rounds):
            VERBS[verb](client, slug, number)
    assert load.failures == []
    for kind in ("new", "keep-alive", "websocket", "events", "slow"):
        assert load.done[kind] > 0, load.done


VERBS: dict[str, Callable[[Client, str, int], object]] = {
    "deploy": lambda client, slug, _n: client.deployed(slug),
    "rollback": lambda client, slug, _n: roll_back(client, slug),
    "scale": lambda client, slug, n: scale(client, slug, 3 if n % 2 == 0 else 1),
    "restart": lambda client, slug, _n: client.job(client.call("POST", f"/paas/apps/{slug}/restart")["job_id"]),
    "env": change_env,
}
