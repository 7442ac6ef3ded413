"""How attempts end, what is kept of them, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from skypanel.db import Database
from skypanel.errors import Invalid, NotFound
from skypanel.jobs import (
    JobAttempt,
    JobContext,
    JobKind,
    JobStep,
    Permanent,
    Temporary,
    leases,
    prune,
    request_cancel,
)
from skypanel.jobs.queries import attempts_of, count_jobs, get_job, list_jobs, steps_of


def test_every_attempt_is_kept_with_its_worker_outcome_and_error(
    bench: Any, start_engine: Any, database: Database
) -> None:
    def handler(ctx: JobContext) -> dict[str, int]:
        if ctx.attempt == 1:
            raise Temporary("the registry is away", delay_s=0.01)
        if ctx.attempt == 2:
            raise KeyError("oops")
        return {"attempts": ctx.attempt}

    start_engine({"handler": JobKind(handler, backoff=lambda attempt: 0.01)}, worker="host1")
    job = bench.ended(bench.put("handler"))
    assert (job.state, job.result, job.error) == ("done", '{"attempts": 3}', None)
    with database.reading() as session:
        attempts = attempts_of(session, job.id)
    assert [(a.number, a.worker, a.outcome, a.error) for a in attempts] == [
        (1, "host1", "retried", "the registry is away"),
        (2, "host1", "retried", "KeyError: 'oops'"),
        (3, "host1", "done", None),
    ]
    assert all(a.finished_at is not None and a.finished_at >= a.started_at for a in attempts)


def test_a_permanent_error_is_not_tried_again_and_on_failure_ends_before_the_job_does(
    bench: Any, start_engine: Any
) -> None:
    seen: list[tuple[str, str, dict[str, Any]]] = []

    def on_failure(ctx: JobContext, error: Exception) -> None:
        assert isinstance(error, Permanent)
        ctx.step("true final state", lambda: seen.append((bench.job(ctx.job_id).state, str(error), ctx.args)))

    def handler(ctx: JobContext, app: str) -> None:
        raise Permanent("the build script ended with 1")

    start_engine({"handler": JobKind(handler, on_failure)})
    job = bench.ended(bench.put("handler", {"app": "a1"}))
    assert (job.state, job.tries, job.error) == ("failed", 1, "the build script ended with 1")
    assert seen == [("running", "the build script ended with 1", {"app": "a1"})]


def test_on_failure_runs_once_the_attempts_are_used_up_and_again_when_it_fails_itself(
    bench: Any, start_engine: Any
) -> None:
    calls: list[str] = []

    def on_failure(ctx: JobContext, error: Exception) -> None:
        calls.append(str(error))
        if len(calls) == 1:
            raise RuntimeError("could not write it down")

    def handler(ctx: JobContext) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    start_engine({"handler": JobKind(handler, on_failure, backoff=lambda attempt: 0.01)})
    job = bench.ended(bench.put("handler", max_attempts=3))
    assert (job.state, job.tries, job.error) == ("failed", 3, "ValueError: attempt 3")
    assert calls == ["attempt 3", "attempt 3"]


def test_on_failure_is_resumed_by_the_next_worker_without_another_attempt(
    bench: Any, start_engine: Any, database: Database
) -> None:
    job_id = bench.put("handler")
    dead = leases.Owner(worker="dead", incarnation="1", lease_s=-1.0)
    with database.transaction() as session:
        claimed = leases.claim(session, owner=dead, queues=["default"], kinds=["handler"], held=())
    assert claimed is not None
    with database.transaction() as session:
        leases.own(session, job=claimed, owner=dead, failing="the disk is full")
    errors: list[Exception] = []
    start_engine({"handler": JobKind(lambda ctx: pytest.fail("no"), lambda ctx, error: errors.append(error))})
    assert bench.ended(job_id).error == "the disk is full"
    assert [(type(e), str(e)) for e in errors] == [(Permanent, "the disk is full")]


def test_a_retry_runs_only_the_steps_that_are_not_recorded_or_forgotten(bench: Any, start_engine: Any) -> None:
    ran: list[str] = []

    def handler(ctx: JobContext) -> Any:
        kept = ctx.step("fetch", lambda: ran.append("fetch") or {"commit": ("a", 1)})
        ctx.step("build: one", lambda: ran.append("build"))
        ctx.tx_step("write", lambda session: ran.append("write"))
        if ctx.attempt == 1:
            ctx.forget("build:")
            raise Temporary("again", delay_s=0.01)
        return kept

    start_engine({"handler": handler})
    assert bench.ended(bench.put("handler")).result == '{"commit": ["a", 1]}'
    assert ran == ["fetch", "build", "write", "build"]


def test_pruning_removes_old_ended_jobs_with_their_steps_and_attempts_and_no_others(
    bench: Any, start_engine: Any, database: Database
) -> None:
    def handler(ctx: JobContext, fails: bool) -> None:
        ctx.step("one", lambda: 1)
        if fails:
            raise Permanent("no")

    start_engine({"handler": handler})
    ended = [bench.ended(bench.put("handler", {"fails": fails})) for fails in (False, True, False)]
    queued = bench.put("other kind")
    assert ended[-1].finished_at is not None
    newest = ended[-1].finished_at - timedelta(milliseconds=0.5)  # a double of seconds is no exact datetime
    with database.transaction() as session:
        assert prune(session, older_than=newest - timedelta(days=1)) == 0
        assert prune(session, older_than=newest, limit=1) == 1
        assert prune(session, older_than=newest) == 1
    with database.reading() as session:
        assert {job.id for job in list_jobs(session).items} == {ended[-1].id, queued}
        for table in (JobStep, JobAttempt):
            assert session.execute(sa.select(table.job_id)).scalars().all() == [ended[-1].id]


def test_jobs_are_listed_newest_first_page_by_page_and_filtered(bench: Any, database: Database) -> None:
    ids = [bench.put("k", key=f"app:{n % 2}") for n in range(5)]
    with database.reading() as session:
        first = list_jobs(session, limit=3)
        second = list_jobs(session, limit=3, cursor=first.next_cursor)
        assert [job.id for job in (*first.items, *second.items)] == ids[::-1]
        assert second.next_cursor is None
        assert [job.id for job in list_jobs(session, key="app:1").items] == [ids[3], ids[1]]
        assert list_jobs(session, state="running").items == []
        assert len(list_jobs(session, state="queued", kind="k", queue="default").items) == 5
        assert count_jobs(session) == {("default", "queued"): 5}
        assert steps_of(session, ids[0]) == attempts_of(session, ids[0]) == []
        with pytest.raises(NotFound):
            get_job(session, "unknown")
        with pytest.raises(Invalid):
            list_jobs(session, cursor="none of ours")


def test_on_failure_gets_through_although_a_cancel_was_asked_for(
    bench: Any, start_engine: Any, database: Database
) -> None:
    cleaned: list[str] = []

    def handler(ctx: JobContext) -> None:
        ctx.wait(3600)
        raise Permanent("broke while stopping")

    def on_failure(ctx: JobContext, error: Exception) -> None:
        ctx.step("clean up", lambda: cleaned.append(str(error)))

    start_engine({"handler": JobKind(handler, on_failure)})
    job_id = bench.put("handler")
    bench.eventually(lambda: bench.job(job_id).state == "running")
    with database.transaction() as session:
        request_cancel(session, job_id)
    assert bench.ended(job_id).state == "failed"
    assert cleaned == ["broke while stopping"]
