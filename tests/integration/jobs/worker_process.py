"""A worker in its own process: `worker_process.py '<json options>'`. Writes what it does to the table `trace`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import sqlalchemy as sa

from skypanel.db import Database, Session
from skypanel.jobs import Engine, JobContext, JobKind, Permanent, Schedule, SocketWaker, Temporary

options = json.loads(sys.argv[1])
NAME: str = options["worker"]
database = Database(options["url"])


def trace(session: Session, what: str, note: str) -> None:
    statement = sa.text("INSERT INTO trace (worker, pid, what, note, at) VALUES (:worker, :pid, :what, :note, :at)")
    values = {"worker": NAME, "pid": os.getpid(), "what": what, "note": note, "at": time.time()}
    session.execute(statement, values)


def write(what: str, note: str) -> None:
    with database.transaction() as session:
        trace(session, what, note)


def three_steps(ctx: JobContext, *, hang: str) -> str:
    """The second step hangs while the file `hang` exists."""
    ctx.step("first", lambda: write("first", ctx.job_id))

    def second() -> str:
        write("second begins", ctx.job_id)
        while Path(hang).exists():
            time.sleep(0.02)
        write("second ends", ctx.job_id)
        return NAME

    by: str = ctx.step("second", second)
    ctx.step("third", lambda: write("third", ctx.job_id))
    return by


def once(ctx: JobContext) -> None:
    """The row and its record commit together; the worker dies right after, the first time."""
    ctx.tx_step("row", lambda session: trace(session, "row", ctx.job_id))
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def keyed(ctx: JobContext, *, number: int) -> None:
    write("begin", f"{ctx.job.key} {number}")
    time.sleep(0.002)
    write("end", f"{ctx.job.key} {number}")


def deadly(ctx: JobContext) -> None:
    write("deadly", ctx.job_id)
    os.kill(os.getpid(), signal.SIGKILL)


def failed(ctx: JobContext, error: Exception) -> None:
    write("on_failure", f"{type(error).__name__}: {error}")


def flaky(ctx: JobContext) -> None:
    if ctx.attempt == 1:
        raise Temporary("not yet", delay_s=0.05)
    raise Permanent("never")


def ping(ctx: JobContext) -> None:
    write("ping", ctx.job_id)


engine = Engine(
    database,
    worker=NAME,
    queues={"default": options.get("concurrency", 4)},
    handlers={
        "three_steps": three_steps,
        "once": once,
        "keyed": keyed,
        "deadly": JobKind(deadly, on_failure=failed),
        "flaky": JobKind(flaky, on_failure=failed),
        "ping": ping,
    },
    schedules=[Schedule(**schedule) for schedule in options.get("schedules", [])],
    lease_s=options.get("lease_s", 1.0),
    poll_s=options.get("poll_s", 0.3),
    waker=SocketWaker(Path(options["socket"])) if "socket" in options else None,
    incarnation=options.get("incarnation"),
)


def end_with_the_test() -> None:
    sys.stdin.read()
    os._exit(1)


threading.Thread(target=end_with_the_test, daemon=True).start()
logging.basicConfig(level=logging.INFO)
signal.signal(signal.SIGTERM, lambda *_: engine.stop(grace_s=options.get("grace_s", 5.0)))
engine.run()
