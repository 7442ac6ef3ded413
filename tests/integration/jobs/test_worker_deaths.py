"""Workers that are killed, stopped or stalled in the middle of a job."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from skypanel.db import Database
from skypanel.jobs.queries import attempts_of, steps_of


def test_a_second_worker_takes_a_killed_ones_job_over_at_the_first_unrecorded_step(
    bench: Any, start_worker: Any, tmp_path: Path, database: Database
) -> None:
    hang = tmp_path / "hang"
    hang.touch()
    first = start_worker(worker="one")
    job_id = bench.put("three_steps", {"hang": str(hang)}, key="app:1")
    bench.eventually(lambda: bench.traced("second begins"))
    start_worker(worker="two")
    first.kill()
    bench.eventually(lambda: len(bench.traced("second begins")) == 2)
    hang.unlink()
    job = bench.ended(job_id)
    assert (job.state, job.result, job.tries) == ("done", '"two"', 2)
    assert [row.worker for row in bench.traced("first")] == ["one"]
    assert [row.worker for row in bench.traced("third")] == ["two"]
    with database.reading() as session:
        assert [(a.worker, a.outcome) for a in attempts_of(session, job_id)] == [("one", "lost"), ("two", "done")]
        assert {step.name for step in steps_of(session, job_id)} == {"first", "second", "third"}


def stall(pid: int, database: Database) -> None:
    """Stops the process at a moment when it does not hold SQLite's write lock: nobody could work beside it."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if database.dialect != "sqlite":
            return
        with closing(sqlite3.connect(str(database.engine.url.database), timeout=0.2, isolation_level=None)) as beside:
            try:
                beside.execute("BEGIN IMMEDIATE")
                beside.execute("ROLLBACK")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                continue
        return


def test_a_stalled_worker_that_wakes_up_can_record_nothing(
    bench: Any, start_worker: Any, tmp_path: Path, database: Database
) -> None:
    hang = tmp_path / "hang"
    hang.touch()
    stalled = start_worker(worker="stalled")
    job_id = bench.put("three_steps", {"hang": str(hang)})
    bench.eventually(lambda: bench.traced("second begins"))
    stall(stalled.pid, database)
    start_worker(worker="other")
    bench.eventually(lambda: len(bench.traced("second begins")) == 2)
    os.kill(stalled.pid, signal.SIGCONT)
    hang.unlink()
    assert bench.ended(job_id).result == '"other"'
    bench.eventually(lambda: len(bench.traced("second ends")) == 2)  # the stalled one finished its step, too late
    stalled.terminate()
    assert stalled.wait(timeout=60) == 0
    assert [row.worker for row in bench.traced("third")] == ["other"]
    assert bench.job(job_id).result == '"other"'


def test_a_crash_after_the_commit_of_a_tx_step_leaves_one_row(bench: Any, start_worker: Any) -> None:
    first = start_worker(worker="one")
    job_id = bench.put("once")
    first.wait(timeout=60)
    start_worker(worker="two")
    assert bench.ended(job_id).state == "done"
    assert [row.worker for row in bench.traced("row")] == ["one"]


def test_a_restarted_worker_takes_its_own_jobs_over_without_waiting_for_the_lease(
    bench: Any, start_worker: Any, tmp_path: Path
) -> None:
    hang = tmp_path / "hang"
    hang.touch()
    first = start_worker(worker="host1", incarnation="1", lease_s=3600)
    job_id = bench.put("three_steps", {"hang": str(hang)}, key="app:1")
    bench.eventually(lambda: bench.traced("second begins"))
    first.kill()
    first.wait()
    hang.unlink()
    start_worker(worker="host1", incarnation="2", lease_s=3600)
    assert bench.ended(job_id).state == "done"


def test_a_worker_of_another_name_leaves_a_valid_lease_alone(bench: Any, start_worker: Any, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    hang.touch()
    first = start_worker(worker="host1", incarnation="1", lease_s=3600)
    job_id = bench.put("three_steps", {"hang": str(hang)})
    bench.eventually(lambda: bench.traced("second begins"))
    first.kill()
    start_worker(worker="host2", incarnation="2", lease_s=3600)
    assert bench.ended(bench.put("ping")).state == "done"
    assert bench.job(job_id).state == "running"


def test_a_job_that_kills_its_workers_fails_and_on_failure_runs(bench: Any, start_worker: Any) -> None:
    job_id = bench.put("deadly", max_attempts=2, key="app:1")
    for incarnation in ("1", "2"):
        start_worker(worker="host1", incarnation=incarnation).wait(timeout=60)
    start_worker(worker="host1", incarnation="3")
    job = bench.ended(job_id)
    assert (job.state, job.tries) == ("failed", 2)
    assert len(bench.traced("deadly")) == 2
    assert [row.note for row in bench.traced("on_failure")] == ["Killed: the worker died in the last attempt"]


def test_a_graceful_stop_hands_a_running_job_over_at_once_and_the_attempt_does_not_count(
    bench: Any, start_worker: Any, tmp_path: Path, database: Database
) -> None:
    hang = tmp_path / "hang"
    hang.touch()
    first = start_worker(worker="one", lease_s=3600, grace_s=0.1)
    job_id = bench.put("three_steps", {"hang": str(hang)}, max_attempts=1)
    bench.eventually(lambda: bench.traced("second begins"))
    first.terminate()
    assert first.wait(timeout=60) == 0
    hang.unlink()
    start_worker(worker="two", lease_s=3600)
    job = bench.ended(job_id)
    assert (job.state, job.tries) == ("done", 1)
    with database.reading() as session:
        assert [a.outcome for a in attempts_of(session, job_id)] == ["released", "done"]
