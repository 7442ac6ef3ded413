"""A whole platform without its outside: real database, real job engine, drivers in memory on one memory machine. Its
process may die at any of its moments and be followed by another on the same machine and database."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from skypanel.activity.models import Activity
from skypanel.activity.record import Actor
from skypanel.apps.models import App
from skypanel.apps.vault import Vault, new_key
from skypanel.db import Database, Session
from skypanel.deployments import mend, requests, rollout
from skypanel.deployments.models import Deployment, DeploymentStage, Replica, Run
from skypanel.deployments.platform import Platform, Rules
from skypanel.deployments.reconcile import Findings, reconcile
from skypanel.drivers import probe
from skypanel.drivers.builder.memory import MemoryBuilder
from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.drivers.logstore.port import Query
from skypanel.drivers.machines import OneMachine
from skypanel.drivers.mail.port import NoMail
from skypanel.drivers.probe import FromHere
from skypanel.drivers.router.memory import MemoryRouter
from skypanel.drivers.runtime.memory import Inside, Machine, MemoryRuntime, serving, until_stopped
from skypanel.drivers.source.memory import MemorySource
from skypanel.jobs import Engine, Job
from skypanel.kit.clock import Clock, SystemClock
from skypanel.kit.ids import new_id
from skypanel.logs.volume import Volumes
from skypanel.orgs.models import Organization, Plan
from skypanel.orgs.plans import seed_plans
from skypanel.worker.bookkeeping import Bookkeeper
from skypanel.worker.handlers import QUEUES, handlers

ADA = Actor("ada@example.org", "192.0.2.1")
URL = "https://git.example.org/shop.git"
ACTIVE = ("queued", "building", "deploying")
ENDS = {"crash": 1, "fails": 3, "passes": 0}
EFFECTS = {
    "start", "stop", "remove", "run", "put", "confirm", "fetch", "build", "clean", "remove_slug", "remove_app",
}  # fmt: skip


def program(inside: Inside) -> int:
    """By the last word of the Procfile's line."""
    verb = inside.spec.command[-1]
    if verb in ENDS:
        inside.print(f"{verb} ends")
        return ENDS[verb]
    if verb == "idle" or inside.port is None:
        return until_stopped(inside)
    return serving(inside)


class Dead(SystemExit):
    """Ends a thread without a word, as the end of its process would. No `except Exception` sees it."""


class Life:
    """Of one process of the platform: it ends at the moment number `dies_at`, and nothing it does has an effect after.

    Moments: after everything that acts on the outside and after each transaction, which is before the next of them."""

    def __init__(self) -> None:
        self.dies_at: int | None = None
        self.moments: list[str] = []
        self.dead = threading.Event()
        self._lock = threading.Lock()

    def kill(self) -> None:
        self.dead.set()

    def arm(self, dies_at: int) -> None:
        self.moments, self.dies_at = [], dies_at

    def check(self) -> None:
        if self.dead.is_set():
            raise Dead

    def moment(self, name: str) -> None:
        self.check()
        if not threading.current_thread().name.startswith(("job-", "start")):
            return
        with self._lock:
            self.moments.append(name)
            if len(self.moments) == self.dies_at:
                self.dead.set()
        self.check()

    def outlived(self) -> bool:
        """Whether it got past its last moment; if so it dies at none any more. The last job's end can be seen in the
        database before the moment that follows it has come."""
        with self._lock:
            self.dies_at = None
            return not self.dead.is_set()


class Mortal:
    """A driver in the hands of a process that may die."""

    def __init__(self, target: Any, life: Life, name: str) -> None:
        self._target, self._life, self._name = target, life, name

    def __getattr__(self, verb: str) -> Any:
        value = getattr(self._target, verb)
        if not callable(value):
            return value

        def call(*args: Any, **given: Any) -> Any:
            if verb not in EFFECTS:
                self._life.check()
                return value(*args, **given)
            self._life.check()
            result = value(*args, **given)
            self._life.moment(f"after {self._name}.{verb}")
            return result

        return call


class MortalDatabase(Database):
    def __init__(self, url: str, life: Life) -> None:
        super().__init__(url)
        self.life = life

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self.life.check()
        with super().transaction() as session:
            yield session
        self.life.moment("after a transaction")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.life.check()
        with super().reading() as session:
            yield session


@dataclass
class Process:
    platform: Platform
    engine: Engine
    life: Life
    thread: threading.Thread


class NoUpkeep:
    """Upkeep by the clock is not started here."""


@dataclass
class Site:
    url: str
    root: Path
    clock: Clock = field(default_factory=SystemClock)
    rules: Rules = field(
        default_factory=lambda: Rules(
            health_deadline_s=4, drain_timeout_s=1, idle_connection_s=0, stop_grace_s=2, keep_releases=3
        )
    )

    def __post_init__(self) -> None:
        self.machine = Machine()
        self.machine.addresses = secrets.randbelow(60_000)  # so that two test runs do not meet
        self.runtime = MemoryRuntime(machine=self.machine, programs={"bash": program})
        self.router = MemoryRouter()
        self.source = MemorySource()
        self.builder = MemoryBuilder(root=self.root, source=self.source)
        self.logs = MemoryLogStore()
        self.vault = Vault([new_key()])
        self.build_log: list[str] = []
        self.processes: list[Process] = []
        self.life = Life()

    # --- processes

    def start(self) -> Process:
        """The platform's process, or the one that follows."""
        life = self.life = Life()
        database = MortalDatabase(self.url, life)
        platform = Platform(
            database=database,
            clock=self.clock,
            runtime=Mortal(self.runtime, life, "runtime"),
            router=Mortal(self.router, life, "router"),
            builder=Mortal(self.builder, life, "builder"),
            source=Mortal(self.source, life, "source"),
            logs=self.logs,
            vault=self.vault,
            open_log=lambda **_: _Log(self.build_log),
            app_host=lambda subdomain: f"{subdomain}.apps.example",
            probe=FromHere(),
            ask_through_router=self._ask_through_router,
            rules=self.rules,
            build_slots=threading.BoundedSemaphore(4),
        )
        upkeep: Any = NoUpkeep()
        books = Bookkeeper(database, self.clock, "USD", Volumes(self.clock), NoMail())
        engine = Engine(
            database, worker="here", incarnation=new_id(), queues=QUEUES, poll_s=0.1,
            handlers=handlers(platform, upkeep, OneMachine(), books, after=lambda: None),
        )  # fmt: skip
        thread = threading.Thread(target=engine.run, name="engine", daemon=True)
        thread.start()
        self.processes.append(Process(platform, engine, life, thread))
        return self.processes[-1]

    def _ask_through_router(self, host: str, path: str, timeout_s: float) -> probe.Answer:
        found = self.router.leads_to(host)
        if not isinstance(found, tuple):
            return probe.Answer(status=503 if found else 404)
        return probe.ask_http(found[0].address, found[0].port, path, host=host, timeout_s=timeout_s)

    @property
    def process(self) -> Process:
        return self.processes[-1]

    @property
    def platform(self) -> Platform:
        return self.process.platform

    def close(self) -> None:
        for process in self.processes:
            process.engine.stop(grace_s=0)
        for process in self.processes:
            process.thread.join(timeout=20)
            process.life.kill()
        for process in self.processes:
            process.platform.database.close()
        self.runtime.destroy()

    # --- what people do

    def app(self, name: str = "shop", *, files: dict[str, str] | None = None, formation: int = 1) -> str:
        url = f"https://git.example.org/{name}.git"
        self.commit(name, files or {"Procfile": "web: serve\nworker: work\n"})
        with self.platform.database.transaction() as session:
            organization, plan = self._organization(session)
            app = App(
                id=new_id(), organization_id=organization.id, name=name, slug=name, uid=secrets.randbelow(10**6),
                git_url=url, branch="", buildpacks=[], plan_id=plan.id, plan_slug="pro", cpu_millis=100, memory_mb=64,
                disk_mb=64, max_replicas=20, price_per_hour_micro=1000, formation={"web": formation},
                health_interval_s=5, created_at=datetime.now(UTC),
            )  # fmt: skip
            session.add(app)
            return app.id

    def _organization(self, session: Session) -> tuple[Organization, Plan]:
        found = session.scalars(sa.select(Organization)).first()
        if found is not None:
            return found, self._plan(session)
        now = datetime.now(UTC)
        organization = Organization(id=new_id(), slug="acme", name="Acme", created_at=now)
        session.add(organization)
        seed_plans(session, now=now)
        session.flush()
        plan = self._plan(session)
        return organization, plan

    def _plan(self, session: Session) -> Plan:
        return session.scalars(sa.select(Plan).where(Plan.slug == "pro")).one()

    def commit(self, name: str, files: dict[str, str]) -> str:
        return self.source.commit(f"https://git.example.org/{name}.git", {"n": secrets.token_hex(4), **files})

    def ask(self, verb: str, app_id: str, **given: Any) -> Any:
        """One request of `deployments.requests`, in a transaction of its own."""
        with self.platform.database.transaction() as session:
            app = session.get_one(App, app_id)
            return getattr(requests, f"request_{verb}")(session, app=app, by=ADA, now=self.clock.now(), **given)

    def cancel(self, deployment: Deployment) -> None:
        with self.platform.database.transaction() as session:
            row = session.get_one(Deployment, deployment.id)
            requests.request_cancel(session, deployment=row, by=ADA, now=self.clock.now())

    def done(self, verb: str, app_id: str, **given: Any) -> Any:
        asked = self.ask(verb, app_id, **given)
        self.quiet()
        return self.deployment(asked.id) if isinstance(asked, Deployment) else asked

    # --- what there is

    def rows(self, query: Any) -> list[Any]:
        with self.platform.database.reading() as session:
            return list(session.scalars(query))

    def read(self, app_id: str) -> App:
        return self.rows(sa.select(App).where(App.id == app_id))[0]

    def deployment(self, deployment_id: str) -> Deployment:
        return self.rows(sa.select(Deployment).where(Deployment.id == deployment_id))[0]

    def run(self, run_id: str) -> Run:
        return self.rows(sa.select(Run).where(Run.id == run_id))[0]

    def printed(self, run_id: str) -> list[str]:
        return [line.entry.message for line in self.logs.query(f"run:{run_id}", Query()).lines]

    def replicas(self, app_id: str) -> list[Replica]:
        return self.rows(sa.select(Replica).where(Replica.app_id == app_id, Replica.state != "gone"))

    def names(self, app_id: str) -> list[str]:
        return sorted(f"{r.process_type}.{r.position} {r.state}" for r in self.replicas(app_id))

    def stages(self, deployment_id: str) -> dict[str, str]:
        query = sa.select(DeploymentStage).where(DeploymentStage.deployment_id == deployment_id)
        return {stage.name: stage.status for stage in self.rows(query.order_by(DeploymentStage.position))}

    def messages(self, verb: str) -> list[str]:
        return [row.message for row in self.rows(sa.select(Activity).where(Activity.verb == verb))]

    def backends(self, app_id: str) -> set[str]:
        route = self.router.by_key.get(app_id)
        return {backend.address for backend in route.backends} if route else set()

    # --- waiting

    def eventually(self, question: Callable[[], Any], *, within_s: float = 30) -> Any:
        until = time.monotonic() + within_s
        while not (answer := question()):
            assert time.monotonic() < until, f"it did not happen in time; {self._at_work()}"
            time.sleep(0.005)
        return answer

    def _at_work(self) -> list[str]:
        query = sa.select(Job).where(Job.state.in_(("queued", "running")))
        return [f"{job.kind} {job.state} {job.error or ''}" for job in self.rows(query)]

    def quiet(self) -> None:
        """Until no job waits or runs, or the process is dead."""
        self.eventually(self._rests)

    def _rests(self) -> bool:
        try:
            return self.life.dead.is_set() or not self._at_work()
        except Dead:  # since it was asked
            return True

    def reconciled(self) -> Findings:
        """Until there is nothing to mend; what the first look found."""
        first = found = reconcile(self.platform)
        for _ in range(5):
            self.quiet()
            if found == Findings(0, 0):
                return first
            found = reconcile(self.platform)
        raise AssertionError(f"the reconciler never came to an end: {found}, {self._at_work()}")

    def true(self, app_id: str, *, status: str, web: int = 1, worker: int = 1) -> None:
        """Everything that must hold of an app when nothing is going on."""
        app = self.read(app_id)
        deployments = self.rows(sa.select(Deployment).where(Deployment.app_id == app_id))
        assert not [d.version for d in deployments if d.status in ACTIVE]
        assert all(d.finished_at for d in deployments)
        running = [d.id for d in deployments if d.status == "running"]
        assert running == ([app.current_deployment_id] if app.current_deployment_id else [])
        for deployment in deployments:
            assert "running" not in self.stages(deployment.id).values(), (
                deployment.version,
                self.stages(deployment.id),
            )
        assert app.status == status, app.status_reason
        wanted = sorted(
            [f"web.{n + 1} healthy" for n in range(web)] + [f"worker.{n + 1} healthy" for n in range(worker)]
        )
        assert self.names(app_id) == wanted
        replicas = self.replicas(app_id)
        assert {r.deployment_id for r in replicas} <= {app.current_deployment_id}
        assert {r.generation for r in replicas} <= {app.generation}
        there = {c.id for c in self.runtime.list() if c.app_id == app_id and c.status == "running"}
        assert there == {r.id for r in replicas}
        assert not [c for c in self.runtime.list() if c.app_id == app_id and c.id not in there]
        assert self.backends(app_id) == {r.address for r in replicas if r.process_type == "web"}
        for row in self.rows(sa.select(Replica).where(Replica.app_id == app_id)):
            assert (row.stopped_at is not None) == (row.state == "gone" and row.started_at is not None)
        self.metered(app_id)
        assert self.builder.builds() == []

    def metered(self, app_id: str) -> dict[str, list[tuple[datetime, datetime | None]]]:
        """Slot -> what is paid for of it. Everything that serves is, nothing that is gone or goes, and no slot twice at
        a time."""
        found: dict[str, list[tuple[datetime, datetime | None]]] = {}
        query = sa.select(Replica).where(Replica.app_id == app_id, Replica.metered_from.is_not(None))
        for row in self.rows(query.order_by(Replica.metered_from, Replica.metered_until)):
            found.setdefault(f"{row.process_type}.{row.position}", []).append((row.metered_from, row.metered_until))
            assert (row.metered_until is None) == (row.state in ("healthy", "unhealthy")), (row.id, row.state)
        healthy = [r.id for r in self.replicas(app_id) if r.state == "healthy" and r.metered_from is None]
        assert healthy == []
        for slot, stretches in found.items():
            for (_, end), (begin, _) in itertools.pairwise(stretches):
                assert end is not None and end <= begin, (slot, stretches)
        return found


class _Log:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(self, line: str) -> None:
        self._lines.append(line)

    def close(self) -> None:
        """Nothing is held back."""


@contextmanager
def started(url: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site over a database that has its tables, whose platform runs and may be killed without a word."""
    for module in (rollout, mend):
        monkeypatch.setattr(module, "WORKER_SETTLES_S", 0.02)
    report = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda args: args.exc_type is Dead or report(args))
    site = Site(url, root)
    site.start()
    yield site
    site.close()
