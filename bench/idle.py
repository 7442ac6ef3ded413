"""Memory and CPU of everything the platform runs while nothing happens: no apps, then what one replica adds.

Memory is PSS (shared pages counted by their share), from /proc/*/smaps_rollup; CPU is user + system over half a minute
of nothing; wake-ups are voluntary context switches.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from git_http import GitHttpServer
from sample_apps import plain_server
from site_under_test import Client, Site, site

from bench.report import Row, median, publish

IDLE_S = 30
SETTLE_S = 12  # the launcher trims Traefik and schedules run for the first time
LOOKS = 5
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = {
    "uvicorn": "server",
    "skypanel.manage.worker": "worker",
    "traefik --config": "traefik",
    "launch.py": "launcher",
    "supervisord": "supervisord",
}


@dataclass(frozen=True)
class Usage:
    name: str
    pss_mb: float
    cpu_s: float
    switches: int


def look(platform: Site) -> dict[int, Usage]:
    """By process id: all that belongs to this platform by its command line or environment, replicas apart."""
    found: dict[int, Usage] = {}
    assert platform.process is not None
    for pid in family(platform.process.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            name = next((name for word, name in NAMES.items() if word in command), command[:60])
            found[pid] = usage(pid, name)
        except OSError:
            continue
    return found


def usage(pid: int, name: str) -> Usage:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    pss = int(re.findall(r"^Pss:\s+(\d+)", rollup, re.M)[0]) / 1024
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    switches = sum(
        int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[0])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
    )
    return Usage(name, pss, (int(times[11]) + int(times[12])) / TICKS, switches)


def family(root: int) -> list[int]:
    """The process and all below it. Replicas are not: they are nobody's children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def idle(
    platform: Site, *, seconds: float = IDLE_S, settle_s: float = SETTLE_S
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """PSS in MB, CPU in percent of one core, wake-ups per second: each by program."""
    time.sleep(settle_s)
    before, began = look(platform), time.monotonic()
    looks = []
    for _ in range(LOOKS):
        time.sleep(seconds / LOOKS)
        looks.append(look(platform))
    took, after = time.monotonic() - began, looks[-1]
    names = sorted({entry.name for entry in after.values()})
    pss, cpu, wakes = {}, {}, {}
    for name in names:
        pss[name] = median([sum(entry.pss_mb for entry in one.values() if entry.name == name) for one in looks])
        same = [(before[pid], entry) for pid, entry in after.items() if entry.name == name and pid in before]
        cpu[name] = sum(now.cpu_s - then.cpu_s for then, now in same) / took * 100
        wakes[name] = sum(now.switches - then.switches for then, now in same) / took
    return pss, cpu, wakes


def replica_overhead(platform: Site, client: Client, git: GitHttpServer) -> dict[str, float]:
    """PSS of what stands beside each replica's own processes: its monitor and its init."""
    git.make("plain", plain_server())
    client.create("plain", git.url("plain"))
    client.deployed("plain")
    client.job(client.call("POST", "/paas/apps/plain/scale", {"replicas": 5})["job_id"])
    time.sleep(3)
    sums = {"conmon": 0.0, "init": 0.0}
    for pid in platform.pids("conmon"):
        sums["conmon"] += usage(pid, "").pss_mb
        for child in family(pid)[1:2]:
            sums["init"] += usage(child, "").pss_mb
    return {name: total / 5 for name, total in sums.items()}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        directory = Path(name)
        with GitHttpServer(directory / "repositories") as git, site(directory) as running:
            client = running.register("ada")
            pss, cpu, wakes = idle(running)
            beside = replica_overhead(running, client, git)
            with_apps = idle(running, seconds=15, settle_s=5)
    rows = [
        Row(
            "idle memory (PSS) of the platform, no apps",
            sum(pss.values()),
            "MB",
            280,
            350,
            "MB: Dokploy",
            note="stretch 200",
        ),
        Row("idle CPU of the platform, no apps", sum(cpu.values()), "% of a core", 1.0),
        Row("idle wake-ups, no apps", sum(wakes.values()), "per s"),
        Row("memory (PSS) beside each replica's own", sum(beside.values()), "MB"),
        Row("idle memory with five replicas", sum(with_apps[0].values()), "MB"),
        Row("idle CPU with five replicas", sum(with_apps[1].values()), "% of a core"),
    ]
    detail = {
        "PSS, MB": rounded(pss),
        "CPU, %": rounded(cpu),
        "wake-ups per s": rounded(wakes),
        "beside each replica, MB": rounded(beside),
        "PSS with five replicas": rounded(with_apps[0]),
        "CPU with five replicas": rounded(with_apps[1]),
        "wake-ups with five replicas": rounded(with_apps[2]),
    }
    for what, values in detail.items():
        print(f"{what}: {values}")
    publish("idle", rows, detail=detail)


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


if __name__ == "__main__":
    main()
