"""Deploy, redeploy, rollback, scale, stop, restart on a real platform, as a visitor sees them through the router.

Every time runs from the moment before the API request until the first answer of the wanted kind, asked with a new
connection every 10 ms. Floors: the same work by hand. `--profile` prints where the time of a redeploy goes.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from git_http import GitHttpServer
from site_under_test import Client, site

from bench import ROOT, floors
from bench.report import Row, median, publish
from bench.visits import Answer, ask, until

ROUNDS = 5
REPLICAS = 5
words = (f"word{number}" for number in itertools.count())

FLASK_CODE = """\
import os, socket
from flask import Flask
app = Flask(__name__)
ADDRESS = socket.gethostbyname(socket.gethostname())
@app.get("/")
def home():
    return f"{WORD} {os.environ['DYNO']} {ADDRESS} {MORE}"
"""
EXPRESS_CODE = """\
const app = require("express")();
const networks = Object.values(require("os").networkInterfaces()).flat();
const address = networks.find((network) => !network.internal && network.family === "IPv4").address;
app.get("/", (_, response) => response.send(`${WORD} ${process.env.DYNO} ${address} ${MORE}`));
const server = app.listen(process.env.PORT, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
"""


@dataclass
class Sample:
    """An app to deploy, and the files of its next commit."""

    name: str
    fixed: Mapping[str, str]
    code_file: str
    code: str
    start: Sequence[str]  # by hand
    times: dict[str, list[float]] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)

    def files(self, word: str) -> dict[str, str]:
        if self.code_file.endswith(".py"):
            head = f'WORD, MORE = "{word}", ""\n'
        else:
            head = f'const WORD = "{word}", MORE = "";\n'
        return {**self.fixed, self.code_file: head + self.code}


def samples() -> list[Sample]:
    express = ROOT / "samples" / "express-hello"
    return [
        Sample(
            "Flask + gunicorn",
            {"requirements.txt": "flask\ngunicorn\n", "Procfile": "web: gunicorn --bind 0.0.0.0:$PORT app:app\n"},
            "app.py",
            FLASK_CODE,
            ["venv/bin/gunicorn", "--bind", "0.0.0.0:$PORT", "app:app"],
        ),
        Sample(
            "Express",
            {name: (express / name).read_text() for name in ("package.json", "package-lock.json")},
            "index.js",
            EXPRESS_CODE,
            ["node", "index.js"],
        ),
    ]


@dataclass
class Bench:
    client: Client
    git: GitHttpServer
    sample: Sample
    slug: str

    @property
    def host(self) -> str:
        return f"{self.slug}.apps.localhost"

    def note(self, what: str, seconds: float) -> None:
        self.sample.times.setdefault(what, []).append(seconds)

    def until(self, accepts: Callable[[Answer], bool]) -> float:
        return until(self.client.site.port, self.host, accepts)

    def commit(self, word: str) -> None:
        self.git.commit(self.slug, self.sample.files(word))

    def deploy(self, what: str, word: str) -> int:
        """Commits are made before the clock starts: a deploy begins with the request for it."""
        began, asked_at = time.monotonic(), time.time()
        version = self.client.deploy(self.slug)
        self.note(what, self.until(lambda answer: answer.status == 200 and answer.body.startswith(f"{word} ")) - began)
        found = self.client.ran(self.slug, version)
        self._stages(what, found, asked_at)
        self.drained()
        return version

    def _stages(self, what: str, deployment: dict[str, object], asked_at: float) -> None:
        before, previous = asked_at, "asked"
        for stage in deployment["stages"]:  # type: ignore[attr-defined]
            if stage["name"] == "drain" or stage["finished_at"] is None:
                continue
            began, ended = moment(stage["started_at"]), moment(stage["finished_at"])
            stages = self.sample.stages
            stages.setdefault(f"{what}: {previous} → {stage['name']}", []).append(began - before)
            stages.setdefault(f"{what}: {stage['name']}", []).append(ended - began)
            before, previous = ended, stage["name"]

    def drained(self) -> None:
        """Old replicas are gone, so that the next figure starts from rest."""
        deadline = time.monotonic() + 30
        while any(r["state"] == "draining" for r in self.client.replicas(self.slug)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.slug}: a replica does not end")
            time.sleep(0.05)

    def rollback(self, version: int, word: str) -> None:
        began = time.monotonic()
        answer = self.client.call("POST", f"/paas/apps/{self.slug}/rollback", {"version": version})
        self.note("rollback", self.until(lambda found: found.body.startswith(f"{word} ")) - began)
        self.client.ran(self.slug, answer["deployment"]["version"])
        self.drained()

    def scale(self, replicas: int) -> None:
        began = time.monotonic()
        job = self.client.call("POST", f"/paas/apps/{self.slug}/scale", {"replicas": replicas})["job_id"]
        if replicas > 1:
            seen: set[str] = set()

            def all_answer(found: Answer) -> bool:
                seen.add(found.body.split()[1])
                return len(seen) == replicas

            self.note("scale", self.until(all_answer) - began)
        self.client.job(job)
        self.drained()

    def stop(self) -> None:
        began = time.monotonic()
        job = self.client.call("POST", f"/paas/apps/{self.slug}/stop")["job_id"]
        self.note("stop", self.until(lambda answer: answer.status == 503) - began)
        self.client.job(job)
        self.drained()

    def restart(self, what: str, *, running: bool) -> None:
        before = ask(self.client.site.port, self.host).body.split()[2] if running else ""
        began = time.monotonic()
        job = self.client.call("POST", f"/paas/apps/{self.slug}/restart")["job_id"]
        new = lambda answer: answer.status == 200 and answer.body.split()[2] != before  # noqa: E731
        self.note(what, self.until(new) - began)
        self.client.job(job)
        self.drained()


def moment(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def first_deploys(client: Client, git: GitHttpServer, sample: Sample, prefix: str) -> Bench:
    """Each of a new app, whose package cache is empty. The last one is used for all that follows."""
    for number in range(ROUNDS):
        bench = Bench(client, git, sample, f"{prefix}-{number}")
        word = next(words)
        git.make(bench.slug, sample.files(word))
        client.create(bench.slug, git.url(bench.slug))
        bench.deploy("first", word)
        if number < ROUNDS - 1:
            client.call("DELETE", f"/paas/apps/{bench.slug}")
    return bench


def measure(bench: Bench) -> None:
    word = next(words)
    bench.commit(word)
    version = bench.deploy("warm-up", word)
    for _ in range(ROUNDS):
        old, old_version, word = word, version, next(words)
        bench.commit(word)
        version = bench.deploy("redeploy", word)
        bench.rollback(old_version, old)
    for _ in range(ROUNDS):
        bench.scale(REPLICAS)
        bench.scale(1)
        bench.restart("restart", running=True)
        bench.stop()
        bench.restart("start", running=False)


def one_new_dependency(bench: Bench) -> None:
    """The package is in the app's cache from the second round on; each round has the dependency set of no other."""
    if bench.sample.code_file != "app.py":
        return
    for number in range(ROUNDS + 1):
        word = next(words)
        more = f"# round {number}\nitsdangerous\nhumanize\n"
        bench.sample.fixed = {**bench.sample.fixed, "requirements.txt": "flask\ngunicorn\n" + more}
        bench.commit(word)
        bench.deploy("dependency" if number else "dependency, not in the cache", word)


@dataclass(frozen=True)
class Floors:
    fetch: float
    install: Mapping[str, float]
    process: float
    processes: float  # as many at once as `scale` starts
    container: float


def by_hand(directory: Path, git: GitHttpServer, sample: Sample) -> Floors:
    name = f"floor-{sample.code_file.split('.')[0]}"
    files = sample.files("word")
    git.make(name, files)
    numbers = itertools.count()
    fetch = floors.git_fetch(
        git.url(name), directory / f"{name}.git", lambda: git.commit(name, {"n": str(next(numbers))})
    )
    work = directory / name
    if sample.code_file == "app.py":
        install = floors.python_install(work, files["requirements.txt"], "humanize\n")
    else:
        install = floors.node_install(work, {k: v for k, v in files.items() if k != sample.code_file})
    (work / sample.code_file).write_text(files[sample.code_file])
    env = {"DYNO": "by-hand", "WEB_CONCURRENCY": "2"}
    command = [str(work / part) if part.startswith("venv/") else part for part in sample.start]
    return Floors(
        fetch,
        install,
        floors.process_start(command, cwd=work, env=env),
        floors.process_start(command, cwd=work, env=env, count=REPLICAS),
        floors.container_start(command, app=work, env=env, work=directory),
    )


def rows(sample: Sample, floor: Floors) -> list[Row]:
    def ms(what: str) -> float:
        return median(sample.times[what]) * 1000

    unchanged = floor.install.get("same", 0.0)
    hand = (floor.fetch + unchanged + floor.process) * 1000
    install = floor.install["cold"] * 1000
    if "compiled" in floor.install:
        install += (floor.install["compiled"] - floor.install["warm"]) * 1000  # compiling, as the platform does
    start, container = floor.process * 1000, floor.container * 1000
    found = [
        Row(
            f"{sample.name}: redeploy of a one-line change",
            ms("redeploy"),
            "ms",
            1000,
            hand,
            "ms by hand: fetch, unchanged install, start",
        ),
        Row(
            f"{sample.name}: first deploy, new app, its package cache empty",
            ms("first"),
            "ms",
            1000 + install,
            install + hand,
            f"ms by hand, {install:.0f} of it the install",
        ),
        Row(f"{sample.name}: rollback", ms("rollback"), "ms", 1000, container, "ms: runc start to first answer"),
        Row(
            f"{sample.name}: scale 1 → 5, all five answer",
            ms("scale"),
            "ms",
            1500,
            floor.processes * 1000,
            "ms: five plain processes at once",
        ),
        Row(
            f"{sample.name}: restart, new replica answers",
            ms("restart"),
            "ms",
            None,
            container,
            "ms: runc start to first answer",
        ),
        Row(f"{sample.name}: start of a stopped app", ms("start"), "ms", None, start, "ms: process start to first 200"),
        Row(f"{sample.name}: stop until the 503 page", ms("stop"), "ms"),
    ]
    if "dependency" in sample.times:
        added = (floor.install["compiled_more"] + floor.fetch) * 1000 + start
        note = "ms by hand: fetch, install with bytecode, start"
        found.insert(
            2, Row(f"{sample.name}: one new dependency, in the cache", ms("dependency"), "ms", 1500, added, note)
        )
    return found


def main() -> None:
    found: list[Row] = []
    detail: dict[str, object] = {}
    chosen = [sample for sample in samples() if len(sys.argv) < 2 or sample.name.lower().startswith(sys.argv[1])]
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name:
        directory = Path(name)
        with (
            GitHttpServer(directory / "repositories") as git,
            site(directory, SKYPANEL_MAX_APPS_PER_ORG="100") as running,
        ):
            client = running.register("ada")
            for sample in chosen:
                floor = by_hand(directory, git, sample)
                bench = first_deploys(client, git, sample, sample.code_file.split(".")[0])
                measure(bench)
                one_new_dependency(bench)
                client.call("DELETE", f"/paas/apps/{bench.slug}")
                found += rows(sample, floor)
                stages = {what: round(median(times) * 1000, 1) for what, times in sample.stages.items()}
                detail[sample.name] = {
                    "by hand, ms": {
                        "fetch": floor.fetch * 1000,
                        **{k: v * 1000 for k, v in floor.install.items()},
                        "process to first 200": floor.process * 1000,
                        f"{REPLICAS} processes to first 200": floor.processes * 1000,
                        "runc to first answer": floor.container * 1000,
                    },
                    "all, ms": {what: [round(t * 1000) for t in times] for what, times in sample.times.items()},
                    "stages, ms": stages,
                }
                print(f"\n{sample.name}: where the time of a redeploy goes, ms (medians)")
                for what, value in stages.items():
                    if what.startswith("redeploy"):
                        print(f"  {what:<34} {value:8.1f}")
    publish("redeploy", found, detail=detail)


if __name__ == "__main__":
    main()
