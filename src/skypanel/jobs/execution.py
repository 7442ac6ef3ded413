"""One attempt, from the handler's call to the job's next state. The only place that decides on another attempt."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skypanel.db import Session
from skypanel.jobs import leases
from skypanel.jobs.context import JobContext
from skypanel.jobs.errors import Cancelled, Killed, Lost, Permanent, Temporary
from skypanel.jobs.models import JobState

log = logging.getLogger(__name__)
Handler = Callable[..., Any]
OnFailure = Callable[[JobContext, Exception], None]
CLEAN_UP_TRIES = 5


def exponential(attempt: int) -> float:
    """2, 4, 8 … 300 seconds, spread by a fifth."""
    return float(min(300, 2**attempt)) * random.uniform(0.8, 1.2)  # noqa: S311  spreads the load, hides nothing


@dataclass(frozen=True)
class JobKind:
    """`handler(ctx, **args)` does the work. `on_failure(ctx, error)` runs once the job will not be tried again, holding
    its key, before it becomes `failed`: the place where the owner writes its true final state. It may run twice (steps
    of `ctx` help). `error` is the last attempt's (by another worker's account: Permanent with its text), or
    Killed when the worker died in it. `backoff(attempt)`: seconds."""

    handler: Handler
    on_failure: OnFailure | None = None
    backoff: Callable[[int], float] = exponential


def execute(ctx: JobContext, kind: JobKind) -> None:
    """Runs the attempt and records how it ended. Raises Lost when the job is another's by then."""
    job = ctx.job
    if job.failing:
        text = job.error or leases.DIED
        _fail(ctx, kind, Killed(text) if text == leases.DIED else Permanent(text))
        return
    try:
        result = json.dumps(kind.handler(ctx, **job.args))
    except Lost:
        raise
    except Cancelled:
        ctx.persist(lambda session: leases.finish(session, job=job, state=JobState.CANCELLED))
    except Permanent as error:
        _fail(ctx, kind, error)
    except Exception as error:  # noqa: BLE001  whatever a handler raises is the attempt's outcome, recorded below
        _retry_or_fail(ctx, kind, error)
    else:
        ctx.persist(lambda session: leases.finish(session, job=job, state=JobState.DONE, result=result))


def _retry_or_fail(ctx: JobContext, kind: JobKind, error: Exception) -> None:
    job, text = ctx.job, describe(error)
    if job.attempt >= job.max_attempts:
        _fail(ctx, kind, error)
        return
    delay_s = error.delay_s if isinstance(error, Temporary) else kind.backoff(job.attempt)
    if ctx.cancel_asked:
        delay_s = min(delay_s, 1.0)  # what is left is the clean-up, and its key is held meanwhile
    trace = None if isinstance(error, Temporary) else error
    log.warning(
        "job %s (%s) attempt %d failed, again in %.1f s: %s",
        job.id,
        job.kind,
        job.attempt,
        delay_s,
        text,
        exc_info=trace,
    )
    ctx.persist(lambda session: leases.retry(session, job=job, delay_s=delay_s, error=text))


def _fail(ctx: JobContext, kind: JobKind, error: Exception) -> None:
    job, text = ctx.job, describe(error)
    expected = isinstance(error, (Permanent, Killed, Temporary))
    log.error("job %s (%s) failed for good: %s", job.id, job.kind, text, exc_info=None if expected else error)
    ctx.shield()
    ctx.persist(lambda session: _decide(session, ctx, text))
    if kind.on_failure is not None:
        _clean_up(ctx, kind.on_failure, error)
    ctx.persist(lambda session: leases.finish(session, job=job, state=JobState.FAILED, error=text))


def _decide(session: Session, ctx: JobContext, text: str) -> None:
    leases.own(session, job=ctx.job, owner=ctx.owner, failing=text)


def _clean_up(ctx: JobContext, on_failure: OnFailure, error: Exception) -> None:
    for again in range(1, CLEAN_UP_TRIES + 1):
        try:
            on_failure(ctx, error)
        except Lost:
            raise
        except Exception:
            log.exception("on_failure of job %s (%s) failed, try %d", ctx.job_id, ctx.kind, again)
            ctx.wait(min(5.0, 0.2 * 2**again))
        else:
            return


def describe(error: BaseException) -> str:
    """One line for people: what a handler says in plain words stands alone, anything else is named by its type."""
    text = str(error).strip()
    plain = isinstance(error, (Temporary, Permanent, Killed)) and text
    return (text if plain else f"{type(error).__name__}: {text}")[:2000]
