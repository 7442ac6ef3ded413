"""Engines in threads and workers in processes, all gone at the end of a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from skypanel.db import Database
from skypanel.jobs import Engine, Job, enqueue
from skypanel.jobs.queries import get_job


class StartEngine(Protocol):
    def __call__(self, handlers: dict[str, Any], **options: Any) -> Engine: ...


class StartWorker(Protocol):
    def __call__(self, **options: Any) -> subprocess.Popen[bytes]: ...


def eventually(question: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """The first true answer; a long limit, so that a busy machine only makes it slow."""
    until = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
    return answer


@dataclass(frozen=True)
class Bench:
    """What a test does to the database from outside the engine."""

    database: Database

    def put(self, kind: str, args: dict[str, Any] | None = None, **options: Any) -> str:
        with self.database.transaction() as session:
            job_id = enqueue(session, kind=kind, args=args or {}, **options)
        assert job_id is not None
        return job_id

    def job(self, job_id: str) -> Job:
        with self.database.reading() as session:
            return get_job(session, job_id)

    def ended(self, job_id: str) -> Job:
        def over() -> Job | None:
            job = self.job(job_id)
            return job if job.finished_at is not None else None

        found: Job = eventually(over, within_s=60)
        return found

    def traced(self, what: str | None = None) -> list[Any]:
        with self.database.reading() as session:
            rows = session.execute(sa.text("SELECT worker, pid, what, note, at FROM trace ORDER BY n")).all()
        return [row for row in rows if what in (None, row.what)]

    def eventually(self, question: Callable[[], Any], *, within_s: float = 30.0) -> Any:
        return eventually(question, within_s=within_s)


@pytest.fixture
def bench(database: Database) -> Bench:
    number = "INTEGER PRIMARY KEY AUTOINCREMENT" if database.dialect == "sqlite" else "BIGSERIAL PRIMARY KEY"
    columns = f"n {number}, worker TEXT, pid INTEGER, what TEXT, note TEXT, at DOUBLE PRECISION"
    with database.transaction() as session:
        session.execute(sa.text(f"CREATE TABLE trace ({columns})"))
    return Bench(database)


@pytest.fixture
def start_engine(database: Database) -> Iterator[StartEngine]:
    running: list[tuple[Engine, threading.Thread]] = []

    def start(handlers: dict[str, Any], **options: Any) -> Engine:
        settings: dict[str, Any] = {"worker": "test", "queues": {"default": 4}, "lease_s": 1.0, **options}
        engine = Engine(settings.pop("database", database), handlers=handlers, **settings)
        thread = threading.Thread(target=engine.run)
        thread.start()
        running.append((engine, thread))
        return engine

    yield start
    for engine, _ in running:
        engine.stop(grace_s=5)
    for _, thread in running:
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture
def start_worker(database_url: str) -> Iterator[StartWorker]:
    script = Path(__file__).with_name("worker_process.py")
    running: list[subprocess.Popen[bytes]] = []

    def start(**options: Any) -> subprocess.Popen[bytes]:
        arguments = json.dumps({"url": database_url, **options})
        command = [sys.executable, str(script), arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.communicate()
