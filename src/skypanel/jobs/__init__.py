"""Durable jobs on the application's own database: enqueued in the caller's transaction, run at least once.

    enqueue / request_cancel    verbs for every room, inside the caller's transaction; cancel_asked tells
    JobContext                  what a handler gets: recorded steps, cooperative cancel
    Temporary / Permanent       how a handler says what shall happen next
    Engine                      the worker's loop; `worker` and `wiring` build it
    install(database, waker)    how an enqueue in another process reaches the worker in milliseconds

Why an engine of our own: docs/decisions/0002-own-job-engine.md.
"""

from skypanel.jobs.context import JobContext
from skypanel.jobs.engine import Engine
from skypanel.jobs.enqueue import cancel_asked, enqueue, request_cancel
from skypanel.jobs.errors import Cancelled, Killed, Lost, Permanent, Temporary
from skypanel.jobs.execution import JobKind
from skypanel.jobs.models import Job, JobAttempt, JobState, JobStep
from skypanel.jobs.retention import prune
from skypanel.jobs.schedules import Schedule
from skypanel.jobs.wakers import LocalWaker, PostgresWaker, SocketWaker, Waker, install

__all__ = [
    "Cancelled",
    "Engine",
    "Job",
    "JobAttempt",
    "JobContext",
    "JobKind",
    "JobState",
    "JobStep",
    "Killed",
    "LocalWaker",
    "Lost",
    "Permanent",
    "PostgresWaker",
    "Schedule",
    "SocketWaker",
    "Temporary",
    "Waker",
    "cancel_asked",
    "enqueue",
    "install",
    "prune",
    "request_cancel",
]
