"""Is a replica healthy? Asked directly, and answered with a sentence that a developer can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from skypanel.apps.models import App
from skypanel.deployments.models import Replica
from skypanel.deployments.platform import Platform
from skypanel.drivers.probe import Probe
from skypanel.drivers.runtime.port import DEFAULT_PORT, Container, ContainerStatus

# An app that asks for a password at its health path is alive; one that does not know the path is not configured right.
ALIVE_BESIDES_2XX_3XX = frozenset({401, 403, 405, 429})


@dataclass(frozen=True)
class Verdict:
    healthy: bool
    reason: str | None = None
    refused: bool = False


def is_alive(status: int) -> bool:
    return 200 <= status < 400 or status in ALIVE_BESIDES_2XX_3XX


class Asked(TypedDict):
    host: str
    network: str


def asked_of(platform: Platform, app: App) -> Asked:
    """By which name a replica of the app is asked, and where."""
    return Asked(host=platform.app_host(app.slug), network=platform.network_of(app.organization_id))


def ask(probe: Probe, app: App, replica: Replica, *, host: str, network: str = "") -> Verdict:
    """One question to a web replica by the app's health check."""
    timeout = app.health_timeout_s
    if replica.address is None or replica.port is None:
        return Verdict(True)
    if app.health_type == "tcp":
        answer = probe.tcp(replica.address, replica.port, timeout_s=timeout, network=network)
        return Verdict(answer.error is None, answer.error, answer.refused)
    # The forwarded protocol keeps apps that redirect to HTTPS from answering every check with a redirect loop.
    answer = probe.http(
        replica.address,
        replica.port,
        app.health_path,
        host=host,
        timeout_s=timeout,
        headers={"X-Forwarded-Proto": "https"},
        network=network,
    )
    if answer.status is None:
        return Verdict(False, answer.error, answer.refused)
    if is_alive(answer.status):
        return Verdict(True)
    return Verdict(False, f"it answers {answer.status} at {app.health_path}")


def why_dead(container: Container | None, app: App) -> str:
    """The end of a replica in words."""
    if container is None:
        return "its container is gone"
    if container.oom_killed:
        return f"it needed more memory than the plan's {app.memory_mb} MB"
    if container.reason is not None:
        return container.reason
    if container.exit_code is None:
        return "it ended"
    if container.exit_code == 127:
        return "its command was not found (exit code 127)"
    if container.exit_code == 126:
        return "its command is not executable (exit code 126)"
    if container.exit_code > 128:
        return f"it was ended by signal {container.exit_code - 128}"
    return f"it exited with code {container.exit_code}"


def why_crashed(container: Container | None, app: App, replica: Replica) -> str:
    name = f"{replica.process_type}.{replica.position}"
    if container is not None and container.exit_code == 0:
        if replica.process_type == "web":
            return f"{name} ended by itself (exit code 0), and has to keep running and listen on 0.0.0.0:$PORT."
        return (
            f"{name} ended by itself (exit code 0), and replicas have to keep running; if it is meant to end, scale it "
            f"to 0 (`skypanel scale {app.slug} 0 --process {replica.process_type}`) and deploy again."
        )
    return f"{name} crashed while starting: {why_dead(container, app)}; its last lines are in the deployment's log."


def why_not_started(
    app: App, replica: Replica, verdict: Verdict, listening: tuple[str, ...], deadline_s: float
) -> tuple[str, str]:
    """(code, sentence) for a replica that lives but never became healthy."""
    name = f"{replica.process_type}.{replica.position}"
    port = replica.port or DEFAULT_PORT
    if verdict.refused and listening:
        where = ", ".join(listening)
        if any(place.startswith(("127.", "[::1]")) and place.endswith(f":{port}") for place in listening):
            return "port_loopback", (
                f"{name} listens on {where} only, where the router cannot reach it; bind to 0.0.0.0:$PORT instead."
            )
        return "port_ignored", f"{name} listens on {where}, but must listen on 0.0.0.0:$PORT (PORT is {port})."
    if verdict.refused:
        return "port_unbound", f"{name} did not listen on 0.0.0.0:$PORT (PORT is {port}) within {deadline_s:.0f} s."
    if verdict.reason and verdict.reason.startswith("it answers "):
        status = verdict.reason.split()[2]
        if status == "400":  # Django's answer to a Host that it was not told of
            return "health_status", (
                f"{name} answers 400 at {app.health_path}: allow the application's host name (Django: ALLOWED_HOSTS), "
                "or set the health check to a path that answers 200, or to type tcp."
            )
        return "health_status", (
            f"{name} answers {status} at {app.health_path}, which the health check takes as unhealthy; "
            "set the health check to a path that answers 200, or to type tcp."
        )
    return (
        "health_timeout",
        f"{name} did not become healthy within {deadline_s:.0f} s: {verdict.reason or 'no answer'}.",
    )


def running(container: Container | None) -> bool:
    return container is not None and container.status == ContainerStatus.RUNNING
