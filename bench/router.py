"""What our router configuration costs against the same Traefik with a static one written by hand.

A platform serves one app; then a second Traefik of the same binary gets a minimal file with one rule to the same
replica. Both have one access log line per request (ours: JSON, eleven fields, buffered; by hand: once the same setting,
once none). `wrk` asks both in turns. CPU per request is that of the Traefik process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from git_http import GitHttpServer
from site_under_test import Client, Site, site

from bench.floors import free_port
from bench.idle import TICKS
from bench.report import Row, median, publish
from bench.visits import until
from skypanel.drivers.router.traefik.child import find_binary

ROUNDS = 5
SECONDS = 3
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


class ByHand:
    """The minimal Traefik: one entry point, one rule, one server; with or without the same access log."""

    def __init__(self, directory: Path, backend: str, *, access_log: dict[str, object] | None) -> None:
        directory.mkdir()
        self.port = free_port()
        static: dict[str, object] = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {"web": {"address": f"127.0.0.1:{self.port}"}},
            "providers": {"file": {"filename": "dynamic.yml"}},
            "log": {"level": "ERROR"},
        }
        if access_log is not None:
            static["accessLog"] = access_log
        dynamic = {
            "http": {
                "routers": {"app": {"rule": f"Host(`{HOST}`)", "service": "app", "entryPoints": ["web"]}},
                "services": {"app": {"loadBalancer": {"servers": [{"url": backend}]}}},
            }
        }
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


def compare(directory: Path, platform: Site, client: Client) -> dict[str, list[tuple[float, float]]]:
    backend = backend_of(platform, client)
    static = json.loads((platform.data_dir / "router" / "static.yml").read_text())
    alike = ByHand(directory / "same-log", backend, access_log=static["accessLog"])
    bare = ByHand(directory / "no-log", backend, access_log=None)
    ours = json.loads((platform.data_dir / "router" / "launcher.json").read_text())["traefiks"][0][0]
    sides = {
        "ours": (platform.port, ours),
        "by hand, same access log": (alike.port, alike.process.pid),
        "by hand, no access log": (bare.port, bare.process.pid),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    try:
        for number in range(ROUNDS + 1):
            order = list(sides)[number % 3 :] + list(sides)[: number % 3]  # nobody is always first
            for name in order:
                port, pid = sides[name]
                figures = load(port, pid)
                if number:  # the first round warms up
                    found[name].append(figures)
            time.sleep(0.2)
    finally:
        alike.stop()
        bare.stop()
    return found


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
    same, none = "by hand, same access log", "by hand, no access log"
    rows = [
        Row(
            "router: requests/s through our configuration ÷ by hand, same access log",
            rate["ours"] / rate[same],
            "x",
            0.95,
            1.0,
            "",
            more=True,
            note=f"{rate['ours']:,.0f} requests/s",
        ),
        Row(
            "router: requests/s ÷ by hand without access log", rate["ours"] / rate[none], "x", None, 1.0, "", more=True
        ),
        Row("router: Traefik's CPU per request", cpu["ours"], "µs", None, cpu[same], "µs by hand, same access log"),
    ]
    detail = {"cores": os.cpu_count(), "requests/s": rate, "CPU per request, µs": cpu, "rounds": found}
    publish("router", rows, detail=detail)


if __name__ == "__main__":
    main()
