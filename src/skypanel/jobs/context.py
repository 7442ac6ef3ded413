"""What a handler gets: steps that are recorded, and the question whether it shall stop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
import sqlalchemy.exc as sa_exc

from skypanel.db import Database, Session
from skypanel.jobs import leases
from skypanel.jobs.errors import Cancelled, Lost
from skypanel.jobs.leases import Claimed, Owner
from skypanel.jobs.models import STEPS, EpochNow
from skypanel.jobs.outages import Patience, is_outage

T = TypeVar("T")
LOOK_EVERY_S = 0.25


class JobContext:
    """One attempt at one job. A step that acts on the outside may run twice (a kill between the act and its record):
    it removes its own leftovers first. Names of steps are unique within a job; asking again returns what is recorded.

    Any method may raise Lost: stop at once and leave everything as it is, for another worker works on it.
    """

    def __init__(self, *, database: Database, job: Claimed, owner: Owner) -> None:
        self.job = job
        self._database = database
        self.owner = owner
        self._steps = dict(job.steps)
        self._cancel = threading.Event()
        self._lost = threading.Event()
        self._nudged = threading.Event()
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._shielded = False
        if job.cancel:
            self._cancel.set()

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def attempt(self) -> int:
        """1 for the first; hand-overs by a graceful stop are not counted."""
        return self.job.attempt

    @property
    def kind(self) -> str:
        return self.job.kind

    @property
    def args(self) -> dict[str, Any]:
        return self.job.args

    def step(self, name: str, fn: Callable[[], Any], *, check_cancel: bool = True) -> Any:
        """Runs `fn` unless it is recorded as done; its result, a JSON value, as it reads back from the record.

        Raises Cancelled before `fn` when a cancel was asked for and `check_cancel`; clean-up steps pass False.
        """
        if name in self._steps:
            return json.loads(self._steps[name])
        if self.persist(lambda session: leases.own(session, job=self.job, owner=self.owner)):
            self._cancel.set()
        if check_cancel:
            self.check_cancelled()
        text = json.dumps(fn())
        self._steps[name] = self.persist(lambda session: self._record(session, name, lambda _session: text))
        return json.loads(self._steps[name])

    def tx_step(self, name: str, fn: Callable[[Session], Any]) -> Any:
        """`fn(session)` and its record commit together: exactly once for what `fn` writes to this database.

        `fn` is called again when the database went away in between, so it does nothing else. Ignores cancels.
        """
        if name not in self._steps:
            self._steps[name] = self.persist(
                lambda session: self._record(session, name, lambda inner: json.dumps(fn(inner)))
            )
        return json.loads(self._steps[name])

    def forget(self, name_prefix: str) -> None:
        """Drops the records of the steps whose names begin so: they run again when asked for."""

        def drop(session: Session) -> None:
            leases.own(session, job=self.job, owner=self.owner)
            named = STEPS.c.name.startswith(name_prefix, autoescape=True)
            session.execute(sa.delete(STEPS).where(STEPS.c.job_id == self.job.id, named))

        self.persist(drop)
        self._steps = {name: text for name, text in self._steps.items() if not name.startswith(name_prefix)}

    def cancelled(self) -> bool:
        """True once a cancel was asked for. Cheap enough for a tight loop: looks into the database at most every
        0.25 s, and at once after a message about this job. Raises Lost."""
        if self._lost.is_set():
            raise Lost(self.job.id)
        if self._shielded:
            return False
        if not self._cancel.is_set() and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            self._peek()
        return self._cancel.is_set()

    def check_cancelled(self) -> None:
        """Raises Cancelled once a cancel was asked for; Lost when the job is another's."""
        if self.cancelled():
            raise Cancelled(self.job.id)

    def wait(self, seconds: float) -> bool:
        """Sleeps; True as soon as a cancel is asked for, False after `seconds`. Raises Lost."""
        until = time.monotonic() + seconds
        while not self.cancelled():
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._nudged.wait(min(left, 0.5))
            self._nudged.clear()
        return True

    # What follows is the engine's side.

    @property
    def cancel_asked(self) -> bool:
        """As far as this process knows; looks nowhere."""
        return self._cancel.is_set()

    def persist(self, verb: Callable[[Session], T]) -> T:
        """`verb(session)` in a transaction of its own; while the database is away, again, until the job is lost."""
        patience = Patience(f"job {self.job.id}")
        while not self._lost.is_set():
            try:
                with self._database.transaction() as session:
                    result = verb(session)
            except (sa_exc.DBAPIError, sa_exc.TimeoutError) as error:
                if not is_outage(error):
                    raise
                patience.pause(error, self._lost)
            else:
                patience.relieve()
                return result
        raise Lost(self.job.id)

    def nudge(self) -> None:
        """Somebody said that a cancel was asked for: look at once."""
        self._look_at = 0.0
        self._nudged.set()

    def heard_from_lease(self, cancel: bool | None) -> None:
        """What the heartbeat learned; None: the lease is gone."""
        if cancel is None:
            self._lost.set()
        elif cancel:
            self._cancel.set()
        else:
            return
        self._nudged.set()

    def shield(self) -> None:
        """From now on cancels are ignored: the failure is decided and its clean-up must get through."""
        self._shielded = True

    def _peek(self) -> None:
        try:
            with self._database.reading() as session:
                if leases.peek(session, job=self.job):
                    self._cancel.set()
        except (sa_exc.DBAPIError, sa_exc.TimeoutError) as error:
            if not is_outage(error):
                raise
        except Lost:
            self._lost.set()
            raise

    def _record(self, session: Session, name: str, result: Callable[[Session], str]) -> str:
        leases.own(session, job=self.job, owner=self.owner)
        # There when the last commit got through but its answer did not.
        where = (STEPS.c.job_id == self.job.id, STEPS.c.name == name)
        recorded: str | None = session.execute(sa.select(STEPS.c.result).where(*where)).scalar()
        if recorded is not None:
            return recorded
        text = result(session)
        session.execute(sa.insert(STEPS).values(job_id=self.job.id, name=name, result=text, recorded_at=EpochNow()))
        return text
