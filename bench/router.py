"""What our router configuration costs against the same Traefik with a static one written by hand.

A platform serves one app; then a second Traefik of the same binary gets a minimal file with one rule to the same
replica. Both have one access log line per request (ours: JSON, eleven fields, buffered; by hand: once the same setting,
once none). `wrk` asks both in turns. CPU per request is that of the Traefik process.

What the difference is made of: by hand again with one thing of ours at a time, and ours while nobody reads its access
log (the worker is stopped with SIGSTOP).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from git_http import GitHttpServer
from site_under_test import Client, Site, site

from bench.floors import free_port
from bench.idle import TICKS
from bench.report import Row, median, publish
from bench.visits import until
from skypanel.drivers.router.traefik.child import find_binary
from skypanel.drivers.router.traefik.files import FLUSH

OURS, UNREAD = "ours", "ours, access log unread"
SAME, NONE = "by hand, same access log", "by hand, no access log"
WITH = "by hand with our "
WORKER = "skypanel.manage.worker"
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 32
SLUG = "target"
HOST = f"{SLUG}.apps.localhost"
APP = {
    "package.json": '{"name": "target", "version": "1.0.0", "private": true}',
    "server.js": (
        "require('http').createServer((_, answer) => answer.end('good'))"
        ".listen(process.env.PORT, '0.0.0.0');\nprocess.on('SIGTERM', () => process.exit(0));\n"
    ),
    "Procfile": "web: node server.js\n",
}


@dataclass(frozen=True)
class Extra:
    """What a Traefik by hand takes over of ours."""

    entry_point: dict[str, object] = field(default_factory=dict)
    middlewares: dict[str, object] = field(default_factory=dict)
    transports: dict[str, object] = field(default_factory=dict)


class ByHand:
    """The minimal Traefik: one entry point, one rule, one server; with or without the same access log."""

    def __init__(
        self, directory: Path, backend: str, *, access_log: dict[str, object] | None, extra: Extra | None = None
    ) -> None:
        extra = extra or Extra()
        directory.mkdir()
        self.port = free_port()
        static: dict[str, object] = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {"web": {"address": f"127.0.0.1:{self.port}", **extra.entry_point}},
            "providers": {"file": {"filename": "dynamic.yml"}},
            "log": {"level": "ERROR"},
        }
        if access_log is not None:
            static["accessLog"] = access_log
        router = {"rule": f"Host(`{HOST}`)", "service": "app", "entryPoints": ["web"]}
        balancer: dict[str, object] = {"servers": [{"url": backend}]}
        dynamic: dict[str, dict[str, object]] = {
            "http": {"routers": {"app": router}, "services": {"app": {"loadBalancer": balancer}}}
        }
        if extra.middlewares:
            router["middlewares"] = list(extra.middlewares)
            dynamic["http"]["middlewares"] = extra.middlewares
        if extra.transports:
            balancer |= {"serversTransport": "apps", "responseForwarding": {"flushInterval": FLUSH}}
            dynamic["http"]["serversTransports"] = extra.transports
        (directory / "static.yml").write_text(json.dumps(static))
        (directory / "dynamic.yml").write_text(json.dumps(dynamic))
        self.process = subprocess.Popen(
            [find_binary(), "--configFile=static.yml"], cwd=directory, stdout=subprocess.DEVNULL
        )
        until(self.port, HOST, lambda answer: answer.status == 200, within_s=15)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def cpu_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / TICKS


def load(port: int, pid: int) -> tuple[float, float]:
    """Requests per second, and microseconds of Traefik's CPU per request. Raises RuntimeError when any failed."""
    before = cpu_s(pid)
    done = subprocess.run(
        [
            "wrk",
            "-t",
            "1",
            "-c",
            str(CONNECTIONS),
            "-d",
            f"{SECONDS}s",
            "-H",
            f"Host: {HOST}",
            f"http://127.0.0.1:{port}/",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(done)
    requests = int(re.findall(r"(\d+) requests in", done)[0])
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", done)[0])
    return rate, (cpu_s(pid) - before) / requests * 1e6


def backend_of(platform: Site, client: Client) -> str:
    app_id = client.app(SLUG)["id"]
    for path in (platform.data_dir / "router" / "dynamic").glob(f"*{app_id}*.yml"):
        return str(re.findall(r'"url": "(http://[^"]+)"', path.read_text())[0])
    raise RuntimeError("the app has no route")


def extras(platform: Site) -> dict[str, Extra]:
    """One thing of our configuration at a time, then all of them."""
    static = json.loads((platform.data_dir / "router" / "static.yml").read_text())
    ours = json.loads((platform.data_dir / "router" / "dynamic" / "platform.yml").read_text())["http"]
    entry_point = {key: value for key, value in static["entryPoints"]["web"].items() if key != "address"}
    middlewares = {name: ours["middlewares"][name] for name in ("clean", "retry")}
    return {
        "entry point": Extra(entry_point=entry_point),
        "clean": Extra(middlewares={"clean": middlewares["clean"]}),
        "retry": Extra(middlewares={"retry": middlewares["retry"]}),
        "transport": Extra(transports=ours["serversTransports"]),
        "all of them": Extra(entry_point, middlewares, ours["serversTransports"]),
    }


def compare(directory: Path, platform: Site, client: Client) -> dict[str, list[tuple[float, float]]]:
    backend = backend_of(platform, client)
    access_log = json.loads((platform.data_dir / "router" / "static.yml").read_text())["accessLog"]
    ours = json.loads((platform.data_dir / "router" / "launcher.json").read_text())["traefiks"][0][0]
    by_hand = {SAME: ByHand(directory / "same-log", backend, access_log=access_log)}
    by_hand[NONE] = ByHand(directory / "no-log", backend, access_log=None)
    for number, (name, extra) in enumerate(extras(platform).items()):
        by_hand[WITH + name] = ByHand(directory / f"extra-{number}", backend, access_log=access_log, extra=extra)
    sides = {OURS: (platform.port, ours), UNREAD: (platform.port, ours)}
    sides |= {name: (one.port, one.process.pid) for name, one in by_hand.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    try:
        for number in range(ROUNDS + 1):
            names = list(sides)
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:  # nobody is always first
                with stopped(platform.pids(WORKER) if name == UNREAD else []):
                    figures = load(*sides[name])
                if number:  # the first round warms up
                    found[name].append(figures)
                time.sleep(0.5)  # the worker reads what was written
    finally:
        for one in by_hand.values():
            one.stop()
    return found


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        directory = Path(name)
        with GitHttpServer(directory / "repositories") as git, site(directory) as running:
            client = running.register("ada")
            git.make(SLUG, APP)
            client.create(SLUG, git.url(SLUG))
            client.deployed(SLUG)
            found = compare(directory, running, client)
    rate = {name: median([figure[0] for figure in figures]) for name, figures in found.items()}
    cpu = {name: median([figure[1] for figure in figures]) for name, figures in found.items()}
    note = f"{rate[OURS]:,.0f} requests/s; without the worker {rate[UNREAD] / rate[SAME]:.2f}"
    what = "router: requests/s through our configuration ÷ by hand, same access log"
    rows = [
        Row(what, rate[OURS] / rate[SAME], "x", 0.95, 1.0, "", more=True, note=note),
        Row("router: requests/s ÷ by hand without access log", rate[OURS] / rate[NONE], "x", None, 1.0, "", more=True),
        Row("router: Traefik's CPU per request", cpu[OURS], "µs", None, cpu[SAME], f"µs {SAME}"),
    ]
    for name in (name for name in cpu if name.startswith(WITH)):
        rows.append(Row(f"router: CPU per request, {name}", cpu[name], "µs", None, cpu[SAME], f"µs {SAME}"))
    detail = {"cores": os.cpu_count(), "requests/s": rate, "CPU per request, µs": cpu, "rounds": found}
    publish("router", rows, detail=detail)


if __name__ == "__main__":
    main()
