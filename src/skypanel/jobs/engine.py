"""The worker's loop: look, claim, run in threads, keep the leases, sleep exactly until there is something to do.

run()             loop          looks, takes ticks, claims, starts one thread per job
jobs-heartbeat    thread        renews all leases in one statement, learns of cancels and of lost leases
jobs-wake/-listen thread        the waker's: rings the bell
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence

import sqlalchemy.exc as sa_exc

from skypanel.db import Database
from skypanel.jobs import leases
from skypanel.jobs.context import JobContext
from skypanel.jobs.errors import Lost
from skypanel.jobs.execution import Handler, JobKind, execute
from skypanel.jobs.leases import Claimed, Owner
from skypanel.jobs.outages import DATABASE_ERRORS, Patience
from skypanel.jobs.schedules import Schedule, Timetable
from skypanel.jobs.wakers import Waker, install, installed
from skypanel.kit.ids import new_id

log = logging.getLogger(__name__)


class Bell:
    """Wakes one sleeper. SimpleQueue because its `put` is safe in a signal handler, unlike the `set` of an Event."""

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        self._rings.put(None)

    def wait(self, seconds: float) -> None:
        try:
            self._rings.get(timeout=seconds)
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            return


class Engine:
    """Runs jobs of `queues` (name: how many at once) with `handlers` (kind: function or JobKind).

    `worker` is a stable name of this worker ("host1"). With `incarnation` (anything that differs between two starts)
    the caller promises that no other process of this name is alive, which a file lock taken before guarantees: jobs
    that an earlier incarnation left behind are then taken over at once instead of after `lease_s`.
    `poll_s` is the longest sleep, a net for messages that got lost.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        queues: Mapping[str, int],
        handlers: Mapping[str, Handler | JobKind],
        schedules: Sequence[Schedule] = (),
        lease_s: float = 15.0,
        poll_s: float = 2.0,
        waker: Waker | None = None,
        incarnation: str | None = None,
    ) -> None:
        if waker is not None:
            install(database, waker)
        self._waker = installed(database)
        self._database = database
        self._owner = Owner(worker=worker, incarnation=incarnation or new_id(), lease_s=lease_s)
        self._reclaim = incarnation is not None
        self._queues = dict(queues)
        self._kinds = {name: kind if isinstance(kind, JobKind) else JobKind(kind) for name, kind in handlers.items()}
        self._timetable = Timetable(schedules)
        self._poll_s = poll_s
        self._bell = Bell()
        self._live: dict[tuple[str, int], JobContext] = {}
        self._live_lock = threading.Lock()
        self._grace_s: float | None = None  # set by stop()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._broken: Exception | None = None

    def run(self) -> None:
        """Returns after stop(). Survives a database that goes away; other errors of the loop itself end it."""
        heartbeat = threading.Thread(target=self._keep_beating, name="jobs-heartbeat", daemon=True)
        try:
            with self._waker.listening(self._heard):
                heartbeat.start()
                self._loop()
                self._drain(self._grace_s or 0.0)
        finally:
            self._ended.set()
        heartbeat.join()
        if self._broken is not None:
            raise RuntimeError("the heartbeat of the job engine broke") from self._broken

    def stop(self, grace_s: float = 10.0) -> None:
        """Asks run() to claim no more, wait up to `grace_s` for running jobs, hand the rest over and return.

        Safe in a signal handler; does not wait. End the process once run() has returned: what was handed over may
        still be in the middle of a step in its thread.
        """
        self._grace_s = grace_s
        self._bell.ring()

    def _loop(self) -> None:
        patience = Patience("job loop")
        while self._grace_s is None:
            try:
                pause_s = self._pass()
            except DATABASE_ERRORS as error:
                patience.pause(error, self._stopping)
            else:
                patience.relieve()
                self._bell.wait(pause_s)

    def _pass(self) -> float:
        """One round; seconds until the next, unless the bell rings."""
        if self._reclaim:
            with self._database.transaction() as session:
                left = leases.reclaim(session, owner=self._owner)
            self._reclaim = False
            if left:
                log.warning("taking over %d jobs that this worker left behind", left)
        with self._database.reading() as session:
            outlook = leases.look(session, queues=self._open_queues(), kinds=list(self._kinds), held=self._held())
        tick_in_s = self._timetable.run_due(self._database, now=outlook.now)
        if outlook.due:
            while self._grace_s is None and (job := self._claim()) is not None:
                self._start(job)
        pauses = [p for p in (tick_in_s, outlook.next_in_s) if p is not None and p > 0]
        return max(0.002, min([self._poll_s, *pauses]))

    def _open_queues(self) -> list[str]:
        with self._live_lock:
            busy = [ctx.job.queue for ctx in self._live.values()]
        return [name for name, limit in self._queues.items() if busy.count(name) < limit]

    def _held(self) -> list[str]:
        with self._live_lock:
            return [job_id for job_id, _fence in self._live]

    def _claim(self) -> Claimed | None:
        queues = self._open_queues()
        if not queues:
            return None
        try:
            with self._database.transaction() as session:
                return leases.claim(
                    session, owner=self._owner, queues=queues, kinds=list(self._kinds), held=self._held()
                )
        except sa_exc.IntegrityError:  # another worker took the key between our look and our claim
            self._bell.ring()
            return None

    def _start(self, job: Claimed) -> None:
        ctx = JobContext(database=self._database, job=job, owner=self._owner)
        with self._live_lock:
            self._live[job.id, job.fence] = ctx
        threading.Thread(target=self._run_job, args=(ctx,), name=f"job-{job.kind}", daemon=True).start()

    def _run_job(self, ctx: JobContext) -> None:
        job = ctx.job
        try:
            execute(ctx, self._kinds[job.kind])
        except Lost:
            log.warning("job %s (%s) was taken over by another worker", job.id, job.kind)
        except Exception:
            # The outcome could not be recorded. The lease runs out and another attempt follows.
            log.exception("job %s (%s) broke off", job.id, job.kind)
        finally:
            with self._live_lock:
                self._live.pop((job.id, job.fence), None)
            self._bell.ring()

    def _heard(self, message: str) -> None:
        verb, _, job_id = message.partition(" ")
        if verb == "cancel":
            with self._live_lock:
                contexts = [ctx for (live_id, _fence), ctx in self._live.items() if live_id == job_id]
            for ctx in contexts:
                ctx.nudge()
        self._bell.ring()

    def _keep_beating(self) -> None:
        try:
            self._beat()
        except Exception as error:  # noqa: BLE001  run() raises it: jobs without a lease would be run by others too
            self._broken = error
            self.stop(grace_s=0)

    def _beat(self) -> None:
        patience = Patience("job heartbeat", longest_s=self._owner.lease_s / 4)
        while not self._ended.wait(self._owner.lease_s / 3):
            while not self._ended.is_set():
                try:
                    self._renew()
                except DATABASE_ERRORS as error:
                    patience.pause(error, self._ended)
                else:
                    patience.relieve()
                    break

    def _renew(self) -> None:
        with self._live_lock:
            contexts = list(self._live.values())
        if not contexts:
            return
        with self._database.transaction() as session:
            ours = leases.renew(session, jobs=[ctx.job for ctx in contexts], owner=self._owner)
        for ctx in contexts:
            ctx.heard_from_lease(ours.get(ctx.job_id))

    def _drain(self, grace_s: float) -> None:
        self._stopping.set()
        until = time.monotonic() + grace_s
        while self._held() and (left := until - time.monotonic()) > 0:
            self._bell.wait(left)
        with self._live_lock:
            rest = list(self._live.values())
        for ctx in rest:
            try:
                with self._database.transaction() as session:
                    leases.release(session, job=ctx.job)
            except (Lost, *DATABASE_ERRORS) as error:
                log.warning("job %s could not be handed over, its lease will run out: %r", ctx.job_id, error)
            ctx.heard_from_lease(None)
