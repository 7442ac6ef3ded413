"""Several worker processes on one database."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from skypanel.db import Database
from skypanel.jobs import Job, SocketWaker, enqueue, install
from skypanel.jobs.models import JobTick


def test_jobs_of_one_key_never_overlap_and_keep_their_order_over_three_processes(
    bench: Any, start_worker: Any, database: Database
) -> None:
    chance = random.Random(7)
    keys = [f"app:{chance.randrange(8)}" for _ in range(300)]
    with database.transaction() as session:
        for number, key in enumerate(keys[:150]):
            enqueue(session, kind="keyed", args={"number": number}, key=key)
    workers = [start_worker(worker=f"w{n}", lease_s=10, poll_s=0.05) for n in range(3)]
    for number, key in enumerate(keys[150:], start=150):
        bench.put("keyed", {"number": number}, key=key)
    bench.eventually(lambda: len(bench.traced("end")) == 300, within_s=60)

    events: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in bench.traced():
        key, number = row.note.split()
        events[key].append((row.what, int(number)))
    for key, seen in events.items():
        expected = [n for n, k in enumerate(keys) if k == key]
        assert seen == [(what, n) for n in expected for what in ("begin", "end")], key
    assert len({row.worker for row in bench.traced("begin")}) == 3
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]


def test_a_tick_runs_once_however_many_workers_look(bench: Any, start_worker: Any, database: Database) -> None:
    schedule = {"name": "each-second", "cron": "* * * * * *", "kind": "ping"}
    started = int(time.time())
    for number in range(3):
        start_worker(worker=f"w{number}", schedules=[schedule])
    bench.eventually(lambda: len(bench.traced("ping")) >= 4)
    with database.transaction() as session:
        ticks = session.execute(sa.select(JobTick.tick)).scalar_one().timestamp() - started
        assert session.execute(sa.select(sa.func.count(Job.id))).scalar_one() <= ticks


def test_a_message_through_the_socket_wakes_a_worker_that_would_sleep_for_an_hour(
    bench: Any, start_worker: Any, database: Database, tmp_path: Any
) -> None:
    path = tmp_path / "run" / ("long-" * 20) / "wake.sock"  # longer than an address may be
    path.parent.mkdir(parents=True)
    install(database, SocketWaker(path))
    nobody_listens = bench.put("ping")
    start_worker(worker="w", socket=str(path), poll_s=3600)
    assert bench.ended(nobody_listens).state == "done"
    assert path.stat().st_mode & 0o777 == 0o666
    assert bench.ended(bench.put("ping")).state == "done"
    assert bench.ended(bench.put("ping", delay_s=0.3)).state == "done"
