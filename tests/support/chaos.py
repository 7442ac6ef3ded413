"""Seeded `kill -9` at a step of a verb, and what must be true afterwards whatever was killed.

The step is seen where the platform records it (its jobs and their steps, read from the database), so a kill lands where
it is meant to and not where a clock hopes. Used by tests/chaos and by bench/chaos.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from site_under_test import Client, Site, eventually

VICTIMS = {
    "worker": "skypanel.manage.worker",
    "server": "skypanel.server:create_app",
    "traefik": "traefik --configFile",
    "launcher": "traefik/launch.py",
    "supervisor": "skypanel.manage.supervise",
    "conmon": "conmon --cid",
}
# The steps that a verb's job records; the kill comes when the one before is recorded, so within the named one.
DEPLOY_STEPS = ("fetch", "build", "prepare", "choose", "start", "check", "switch", "finish")
STEPS = {
    "deploy": DEPLOY_STEPS,
    "rollback": ("prepare", "choose", "start", "check", "switch", "finish"),
    "env": ("prepare", "choose", "start", "check", "switch", "finish"),
    "cancel": ("fetch", "build", "check"),
    "scale": ("begin", "later"),
    "restart": ("begin", "later"),
    "stop": ("begin", "later"),
    "start": ("begin", "later"),
    "run": ("begin", "later"),
    "delete": ("begin", "later"),
}
FINAL = ("running", "superseded", "failed", "cancelled")
LEASE_S = 15
AWAY_S = 5.0  # without any replica, when all of them were killed at once


@dataclass(frozen=True)
class Kill:
    """One fault: at a step of a verb, so many seconds into it, this process."""

    number: int
    verb: str
    step: str
    victim: str
    delay_s: float

    def __str__(self) -> str:
        return f"kill {self.number}: {self.victim} in {self.step} of {self.verb}, {self.delay_s * 1000:.0f} ms into it"


def kills(count: int, seed: int) -> list[Kill]:
    """Every verb × step × victim in an order that the seed shuffles, again and again until there are `count`."""
    draw = random.Random(seed)
    cells = [(verb, step, victim) for verb, steps in STEPS.items() for step in steps for victim in VICTIMS]
    draw.shuffle(cells)
    chosen = itertools.islice(itertools.cycle(cells), count)
    return [Kill(n, *cell, delay_s=draw.random() * 0.15) for n, cell in enumerate(chosen, 1)]


@dataclass
class Visitor:
    """Asks an application again and again, a new connection each time, and keeps what went wrong."""

    host: str
    port: int
    every_s: float = 0.05
    asked: int = 0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[Visitor]:
        stop = threading.Event()
        thread = threading.Thread(target=self._ask, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(30)

    def _ask(self, stop: threading.Event) -> None:
        while not stop.wait(self.every_s):
            self.asked += 1
            try:
                answer = httpx.get(f"http://127.0.0.1:{self.port}/", headers={"Host": self.host}, timeout=20)
                if answer.status_code != 200:
                    title = answer.text.partition("<title>")[2].partition("<")[0] or answer.text[:60].strip()
                    self.failures.append(f"status {answer.status_code} ({title})")
            except httpx.HTTPError as error:
                self.failures.append(type(error).__name__)


@dataclass
class Result:
    kill: Kill
    outcome: str  # the deployment's or job's final state
    settled_s: float  # from the kill until everything was true again
    asked: int
    failed: int
    bystander_failed: int


class Chaos:
    """One platform with an application that is changed and another organization's that must notice nothing."""

    def __init__(self, site: Site, owner: Client, slug: str, bystander_slug: str, commit: Any, create: Any) -> None:
        self.site, self.owner, self.slug, self.bystander = site, owner, slug, bystander_slug
        self._commit = commit  # (text) -> None: pushes a version that answers with the text
        self._create = create  # (slug) -> None: a further application, deployed, for `delete`
        self._numbers = itertools.count(1)

    def suffer(self, kill: Kill) -> Result:
        """Does the verb, kills, waits until all is true again. Raises AssertionError when it never is."""
        slug = self._prepare(kill)
        quiet = kill.verb in ("stop", "start", "delete")  # the app itself is not to answer all the time
        watched = Visitor(f"{self.bystander if quiet else slug}.apps.localhost", self.site.port)
        other = Visitor(f"{self.bystander}.apps.localhost", self.site.port)
        with watched.asking(), other.asking():
            job_id, version = self._ask_for(kill.verb, slug)
            self._wait_for(kill, job_id)
            time.sleep(kill.delay_s)  # the place within the step, drawn from the seed
            if kill.verb == "cancel":
                self._cancel(slug, version)
            began = time.monotonic()
            self._kill(kill.victim, slug)
            outcome = self._settled(kill, slug, job_id, version)
            self._true_again(kill)
            settled = time.monotonic() - began
        self._judge(kill, watched, other)
        return Result(kill, outcome, settled, watched.asked, len(watched.failures), len(other.failures))

    def _prepare(self, kill: Kill) -> str:
        slug = self.slug
        if kill.verb == "delete":
            slug = f"gone-{next(self._numbers)}"
            self._create(slug)
        elif kill.verb == "start":
            self._done(self.owner.call("POST", f"/paas/apps/{slug}/stop")["job_id"])
        elif self.owner.app(slug)["wanted"] == "stopped":
            self._done(self.owner.call("POST", f"/paas/apps/{slug}/restart")["job_id"])
        if kill.verb in ("deploy", "cancel"):
            self._commit(f"version {next(self._numbers)}")
        return slug

    def _done(self, job_id: str) -> None:
        assert self.owner.job(job_id)["state"] == "done"

    def _ask_for(self, verb: str, slug: str) -> tuple[str, int | None]:
        base = f"/paas/apps/{slug}"
        if verb in ("deploy", "cancel"):
            answer = self.owner.call("POST", f"{base}/deploy")
        elif verb == "rollback":
            kept = self.owner.call("GET", f"{base}/deployments?limit=10")["items"]
            back = next(one["version"] for one in kept if one["status"] == "superseded" and one["slug_digest"])
            answer = self.owner.call("POST", f"{base}/rollback", {"version": back})
        elif verb == "env":
            answer = self.owner.call("PUT", f"{base}/env", {"vars": {"TURN": str(next(self._numbers))}})
        elif verb == "scale":
            wanted = 1 + next(self._numbers) % 3
            return str(self.owner.call("POST", f"{base}/scale", {"replicas": wanted})["job_id"]), None
        elif verb == "run":
            return str(self.owner.call("POST", f"{base}/run", {"command": "sleep 0.3"})["job_id"]), None
        elif verb == "delete":
            return str(self.owner.call("DELETE", base)["job_id"]), None
        else:
            path = "stop" if verb == "stop" else "restart"
            return str(self.owner.call("POST", f"{base}/{path}")["job_id"]), None
        return str(answer["job_id"]), int(answer["deployment"]["version"])

    def _wait_for(self, kill: Kill, job_id: str) -> None:
        steps = DEPLOY_STEPS if kill.verb == "cancel" else STEPS[kill.verb]
        wanted = steps.index(kill.step)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            state, recorded = self._job(job_id)
            if state in ("done", "failed", "cancelled"):
                return  # it was faster than we look: the kill comes right after it
            if state == "running" and recorded >= wanted:
                return
            time.sleep(0.002)
        raise AssertionError(f"{kill}: the step was never seen")

    def _job(self, job_id: str) -> tuple[str, int]:
        with self._database() as database:
            row = database.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
            steps = database.execute("SELECT count(*) FROM job_steps WHERE job_id = ?", (job_id,)).fetchone()
        return (row[0] if row else "done"), steps[0]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(f"file:{self.site.data_dir}/db/skypanel.db?mode=ro", uri=True, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def _cancel(self, slug: str, version: int | None) -> None:
        answer = self.site.http.post(
            f"{self.site.url}/api/paas/apps/{slug}/deployments/{version}/cancel",
            headers={"Authorization": f"Bearer {self.owner.token}", "X-Organization-Id": self.owner.organization_id},
        )
        assert answer.status_code in (202, 409), answer.text  # 409: traffic had moved already

    def _kill(self, victim: str, slug: str) -> None:
        pids = self.site.pids(VICTIMS[victim])
        if victim == "conmon":
            with self._database() as database:
                rows = database.execute(
                    "SELECT r.id FROM replicas r JOIN apps a ON a.id = r.app_id WHERE a.slug = ? AND r.state != 'gone'",
                    (slug,),
                )
                mine = {row[0] for row in rows.fetchall()}
            pids = [pid for pid in pids if any(name in _command(pid) for name in mine)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if victim == "supervisor":  # nobody restarts it but the operator (or systemd)
            assert self.site.process is not None
            self.site.process.wait(30)
            self.site.start()

    def _settled(self, kill: Kill, slug: str, job_id: str, version: int | None) -> str:
        def look() -> str | None:
            with self._database() as database:
                job = database.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
                state = str(job[0]) if job else "done"
                if version is None:
                    return state if state in ("done", "failed", "cancelled") else None
                query = (
                    "SELECT d.status FROM deployments d JOIN apps a ON a.id = d.app_id "
                    "WHERE a.slug = ? AND d.version = ?"
                )
                row = database.execute(query, (slug, version)).fetchone()
                return str(row[0]) if row[0] in FINAL and state in ("done", "failed", "cancelled") else None

        outcome = str(eventually(look, within=3 * LEASE_S, what=f"{kill}: a final state"))
        if kill.verb in ("deploy", "rollback", "env"):
            # A killed monitor takes a starting replica along, and so its version: that is the truth about it.
            ends = ("running", "failed") if kill.victim == "conmon" else ("running",)
            assert outcome in ends, f"{kill}: {outcome}"
        elif kill.verb == "cancel":
            assert outcome in ("cancelled", "running"), f"{kill}: {outcome}"
        else:
            assert outcome == "done", f"{kill}: {outcome}"
        return outcome

    def _true_again(self, kill: Kill) -> None:
        try:
            eventually(lambda: not self.untrue(), within=4 * LEASE_S, every=0.1, what="the truth")
        except AssertionError:
            raise AssertionError(f"{kill}: {self.untrue()}") from None

    def _judge(self, kill: Kill, watched: Visitor, other: Visitor) -> None:
        # What Traefik is answering at the very instant it dies is lost: a request or two. Everything else is kept.
        lost = 3 if kill.victim in ("traefik", "launcher", "supervisor") else 0
        assert len(other.failures) <= lost, f"{kill}: the bystander lost {other.failures}"
        # A killed monitor takes its replica along, and here all replicas lose theirs: away until new ones answer.
        own = round(AWAY_S / watched.every_s) if kill.victim == "conmon" else lost
        assert len(watched.failures) <= own, (
            f"{kill}: visitors lost {len(watched.failures)} {set(watched.failures)} of {watched.asked}"
        )

    # --- what must be true

    def untrue(self) -> list[str]:
        """Everything that is not as it must be when nothing is under way."""
        if not _answers(f"{self.site.url}/readyz"):
            return ["the platform is not ready"]
        with self._database() as database:
            found = _open_work(database)
            replicas = dict(database.execute("SELECT id, state FROM replicas WHERE state NOT IN ('gone')").fetchall())
            serving = database.execute(
                "SELECT slug FROM apps WHERE deleted_at IS NULL AND wanted = 'running' AND current_version IS NOT NULL"
            ).fetchall()
        found += [f"{name} is {state}" for name, state in replicas.items() if state != "healthy"]
        running = _conmons(self.site)
        found += [f"container {name} is nobody's" for name in running - replicas.keys()]
        found += [f"replica {name} has no container" for name in replicas.keys() - running]
        for place in ("builds", "containers"):
            left = {path.name for path in (self.site.data_dir / place).iterdir()} - replicas.keys()
            found += [f"{place}/{name} was left behind" for name in left]
        found += _leftovers_of_the_kernel(self.site, len(replicas))
        for (slug,) in serving:
            if not _answers(f"http://127.0.0.1:{self.site.port}/", f"{slug}.apps.localhost"):
                found.append(f"{slug} does not answer")
        return found


def _open_work(database: sqlite3.Connection) -> list[str]:
    found = [
        f"version {version} is {status}"
        for version, status in database.execute(
            "SELECT version, status FROM deployments WHERE status IN ('queued', 'building', 'deploying')"
        )
    ]
    jobs = database.execute("SELECT kind, state FROM jobs WHERE state IN ('queued', 'running') AND queue != 'upkeep'")
    found += [f"job {kind} is {state}" for kind, state in jobs]
    stages = database.execute("SELECT name FROM deployment_stages WHERE status = 'running'")
    return found + [f"stage {name} is running" for (name,) in stages]


def _leftovers_of_the_kernel(site: Site, replicas: int) -> list[str]:
    """Links of the bridge, cgroups and mounts: as many as there are replicas."""
    import json

    instance = json.loads((site.data_dir / "instance.json").read_text())["id"]
    links = subprocess.run(["ip", "-o", "link", "show", "master", f"sky{instance[:6]}"], capture_output=True, text=True)
    found = []
    if (count := len(links.stdout.splitlines())) != replicas:
        found.append(f"{count} network links for {replicas} replicas")
    groups = [path for path in Path(f"/sys/fs/cgroup/memory/skypanel-{instance}").glob("*/") if path.is_dir()]
    if Path("/sys/fs/cgroup/memory").is_dir() and len(groups) > replicas + 1:
        found.append(f"cgroups {[path.name for path in groups]} for {replicas} replicas")
    return found


def _conmons(site: Site) -> set[str]:
    names = set()
    for pid in site.pids(VICTIMS["conmon"]):
        words = _command(pid).split()
        if "--cid" in words:
            names.add(words[words.index("--cid") + 1])
    return names


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _answers(url: str, host: str = "localhost") -> bool:
    try:
        return httpx.get(url, headers={"Host": host}, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def chaos(site: Site, repositories: Any) -> Iterator[Chaos]:
    """Two organizations with an application each, on a platform that runs."""
    from sample_apps import plain_server

    owner, neighbour = site.register("chaos"), site.register("bystander")
    repositories.make("chaos", plain_server(body="version 0"))
    repositories.make("bystander", plain_server())
    neighbour.create("bystander", repositories.url("bystander"))
    neighbour.deployed("bystander")

    def create(slug: str) -> None:
        owner.create(slug, repositories.url("chaos"))
        owner.deployed(slug)

    create("chaos-app")
    owner.deployed("chaos-app")
    yield Chaos(
        site,
        owner,
        "chaos-app",
        "bystander",
        commit=lambda text: repositories.commit("chaos", plain_server(body=text)),
        create=create,
    )
