"""Asking for work and for its end, without or with a worker."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from skypanel.db import Database
from skypanel.jobs import Cancelled, JobContext, JobKind, Temporary, enqueue, request_cancel
from skypanel.jobs.models import JOBS
from skypanel.jobs.queries import attempts_of


class ChangedOurMind(Exception):
    pass


def test_a_job_is_not_enqueued_when_its_transaction_rolls_back(
    bench: Any, start_engine: Any, database: Database
) -> None:
    ran: list[str] = []
    start_engine({"note": lambda ctx, what: ran.append(what)})
    with pytest.raises(ChangedOurMind), database.transaction() as session:
        enqueue(session, kind="note", args={"what": "rolled back"})
        raise ChangedOurMind
    bench.ended(bench.put("note", {"what": "committed"}))
    assert ran == ["committed"]


def test_only_queued_jobs_are_deduplicated(bench: Any, start_engine: Any, database: Database) -> None:
    go = threading.Event()
    first = bench.put("wait", dedup="app:1")
    with database.transaction() as session:
        assert enqueue(session, kind="wait", args={}, dedup="app:1") is None
        assert enqueue(session, kind="wait", args={}, dedup="app:2") is not None
        assert enqueue(session, kind="wait", args={}, dedup="app:1", queue="other") is not None
    start_engine({"wait": lambda ctx: go.wait(30)})
    bench.eventually(lambda: bench.job(first).state == "running")
    second = bench.put("wait", dedup="app:1")
    go.set()
    assert bench.ended(first).state == bench.ended(second).state == "done"


def test_a_retry_does_not_stumble_over_a_younger_job_of_the_same_dedup_name(
    bench: Any, start_engine: Any, database: Database
) -> None:
    begun, go = threading.Event(), threading.Event()

    def fails_once(ctx: JobContext) -> None:
        begun.set()
        go.wait(30)
        if ctx.attempt == 1 and ctx.job_id == first:
            raise RuntimeError("once")

    first = bench.put("flaky", dedup="app:1", key="app:1")
    start_engine({"flaky": JobKind(fails_once, backoff=lambda attempt: 0.01)})
    assert begun.wait(30)
    second = bench.put("flaky", dedup="app:1", key="app:1")
    go.set()
    assert bench.ended(second).tries == 1
    with database.reading() as session:
        assert [a.outcome for a in attempts_of(session, first)] == ["retried", "done"]


def test_smaller_priorities_run_first_then_arrival(bench: Any, start_engine: Any) -> None:
    order: list[str] = []
    ids = [bench.put("note", {"what": what}, priority=p) for what, p in (("c", 5), ("b", 0), ("bb", 0), ("a", -1))]
    start_engine({"note": lambda ctx, what: order.append(what)}, queues={"default": 1})
    for job_id in ids:
        bench.ended(job_id)
    assert order == ["a", "b", "bb", "c"]


def test_a_delayed_job_does_not_hold_up_its_key_but_a_waiting_retry_does(bench: Any, start_engine: Any) -> None:
    order: list[str] = []

    def note(ctx: JobContext, what: str) -> None:
        order.append(what)
        if what == "flaky" and ctx.attempt == 1:
            raise RuntimeError("again, please")

    bench.put("note", {"what": "much later"}, key="app:1", delay_s=3600)
    bench.put("note", {"what": "flaky"}, key="app:1")
    last = bench.put("note", {"what": "last"}, key="app:1")
    start_engine({"note": JobKind(note, backoff=lambda attempt: 0.2)})
    bench.ended(last)
    assert order == ["flaky", "flaky", "last"]


def test_a_job_of_a_kind_without_handler_waits_for_a_worker_that_has_one(bench: Any, start_engine: Any) -> None:
    unknown = bench.put("from the future")
    start_engine({"note": lambda ctx: None})
    bench.ended(bench.put("note"))
    assert bench.job(unknown).state == "queued"
    start_engine({"from the future": lambda ctx: None}, worker="newer")
    assert bench.ended(unknown).state == "done"


def test_a_queued_job_is_cancelled_at_once_and_never_runs(bench: Any, start_engine: Any, database: Database) -> None:
    job_id = bench.put("note")
    with database.transaction() as session:
        assert request_cancel(session, job_id) is True
    ran: list[str] = []
    start_engine({"note": lambda ctx: ran.append(ctx.job_id)})
    other = bench.put("note")
    bench.ended(other)
    assert bench.job(job_id).state == "cancelled"
    assert ran == [other]


def test_a_running_job_cleans_up_after_a_cancel_and_holds_its_key_meanwhile(
    bench: Any, start_engine: Any, database: Database
) -> None:
    begun, cleaning, cleaned = threading.Event(), threading.Event(), threading.Event()

    def clean_up() -> None:
        cleaning.set()
        assert cleaned.wait(30)

    def deploy(ctx: JobContext) -> None:
        ctx.step("begin", begun.set)
        try:
            ctx.wait(3600)
            ctx.step("never", lambda: pytest.fail("it was cancelled"))
        finally:
            ctx.step("clean up", clean_up, check_cancel=False)

    start_engine({"deploy": deploy, "next": lambda ctx: None}, poll_s=0.05)
    running = bench.put("deploy", key="app:1")
    following = bench.put("next", key="app:1")
    assert begun.wait(30)
    with database.transaction() as session:
        assert request_cancel(session, running) is False
    assert cleaning.wait(30)
    bench.ended(bench.put("next", key="app:2"))
    assert (bench.job(running).state, bench.job(following).state) == ("running", "queued")
    cleaned.set()
    assert bench.ended(running).state == "cancelled"
    assert bench.ended(following).state == "done"


def test_a_cancel_is_noticed_even_when_its_message_was_lost(
    bench: Any, start_engine: Any, database: Database, database_url: str
) -> None:
    def poll(ctx: JobContext) -> None:
        while True:
            ctx.check_cancelled()
            threading.Event().wait(0.01)

    start_engine({"poll": poll}, lease_s=3600)
    job_id = bench.put("poll")
    bench.eventually(lambda: bench.job(job_id).state == "running")
    with database.transaction() as session:
        session.execute(JOBS.update().where(JOBS.c.id == job_id).values(cancel=True))
    assert bench.ended(job_id).state == "cancelled"


def test_a_cancelled_job_that_waits_for_another_attempt_gets_to_clean_up(
    bench: Any, start_engine: Any, database: Database
) -> None:
    cleaned: list[str] = []

    def handler(ctx: JobContext) -> None:
        try:
            ctx.check_cancelled()
        except Cancelled:
            cleaned.append(ctx.job_id)
            raise
        raise Temporary("much later", delay_s=3600)

    start_engine({"handler": handler})
    job_id = bench.put("handler")
    bench.eventually(lambda: bench.job(job_id).error == "much later")
    with database.transaction() as session:
        assert request_cancel(session, job_id) is False
    assert bench.ended(job_id).state == "cancelled"
    assert cleaned == [job_id]


def test_a_clean_up_that_failed_after_a_cancel_is_tried_again_soon(
    bench: Any, start_engine: Any, database: Database
) -> None:
    def handler(ctx: JobContext) -> None:
        if not ctx.wait(3600 if ctx.attempt == 1 else 0):
            raise AssertionError("the cancel was forgotten")
        if ctx.attempt == 1:
            raise RuntimeError("the clean-up failed")
        raise Cancelled

    start_engine({"handler": JobKind(handler, backoff=lambda attempt: 3600)})
    job_id = bench.put("handler")
    bench.eventually(lambda: bench.job(job_id).state == "running")
    with database.transaction() as session:
        request_cancel(session, job_id)
    assert (bench.ended(job_id).state, bench.job(job_id).tries) == ("cancelled", 2)
