"""Liveness: asks every serving replica by its app's health check, and hands the app to `mend` after three failures in
a row or when a back-off has run out. One thread keeps the schedule; a few ask."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from skypanel.apps.models import App
from skypanel.deployments.ask_operation import ask_to_mend
from skypanel.deployments.backoff import LONGEST_S
from skypanel.deployments.health import Verdict, ask, asked_of
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.platform import Platform

log = logging.getLogger(__name__)
ASKING = 32
ASKING_OF_ONE = 4  # organization
REFRESH_S = 15.0


@dataclass
class Watched:
    replica: Replica
    app: App
    asking: bool = False


class Monitor:
    """`look_again` may be called from anywhere: the list of replicas is read again at once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()  # for the four below
        self._watched: dict[str, Watched] = {}
        self._due: list[tuple[float, str]] = []
        self._asking: Counter[str] = Counter()  # by organization
        self._held: dict[str, deque[str]] = {}  # replicas whose organization has as many questions as it may have
        self._stop = threading.Event()
        self._reread = threading.Event()
        self._wake = threading.Event()

    def run(self) -> None:
        refresh_at = 0.0
        with ThreadPoolExecutor(ASKING, thread_name_prefix="health") as pool:
            while not self._stop.is_set():
                self._wake.clear()
                now = time.monotonic()
                if now >= refresh_at or self._reread.is_set():
                    self._reread.clear()
                    refresh_at = now + self._refresh(now)
                due, next_at = self._take_due(now)
                for watched in due:
                    pool.submit(self._ask, watched)
                until = refresh_at if next_at is None else min(refresh_at, next_at)
                self._wake.wait(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def look_again(self) -> None:
        self._reread.set()
        self._wake.set()

    def _take_due(self, now: float) -> tuple[list[Watched], float | None]:
        """What is to be asked now, and when the next will be. Questions that nobody answers last long, so that one
        organization may have only a few of them at once: its other replicas wait, and nobody else's."""
        taken = []
        with self._lock:
            while self._due and self._due[0][0] <= now:
                _, replica_id = heapq.heappop(self._due)
                watched = self._watched.get(replica_id)
                if watched is None or watched.asking:
                    continue
                owner = watched.app.organization_id
                if self._asking[owner] >= ASKING_OF_ONE:
                    self._held.setdefault(owner, deque()).append(replica_id)
                    continue
                self._asking[owner] += 1
                watched.asking = True
                taken.append(watched)
            return taken, self._due[0][0] if self._due else None

    def _answered(self, watched: Watched, again_at: float) -> None:
        owner = watched.app.organization_id
        with self._lock:
            watched.asking = False
            self._asking[owner] -= 1
            heapq.heappush(self._due, (again_at, watched.replica.id))
            if held := self._held.get(owner):
                heapq.heappush(self._due, (time.monotonic(), held.popleft()))
            if not self._asking[owner]:
                del self._asking[owner]
                self._held.pop(owner, None)
        self._wake.set()

    def _refresh(self, now: float) -> float:
        """Reads what is to be watched; returns the seconds until the next reading."""
        try:
            with self._platform.database.reading() as session:
                rows = session.execute(
                    sa.select(Replica, App)
                    .join(App, App.id == Replica.app_id)
                    .where(
                        Replica.process_type == "web",
                        Replica.state == ReplicaState.HEALTHY,
                        Replica.deployment_id == App.current_deployment_id,
                    )
                ).all()
            soonest = self._wake_backoffs()
        except (DBAPIError, PoolExhausted) as error:
            log.warning("the database cannot be read, health checks wait: %s", error)
            return 2.0
        fresh = {replica.id: Watched(replica, app) for replica, app in rows}
        with self._lock:
            for replica_id, watched in fresh.items():
                if (known := self._watched.get(replica_id)) is not None:
                    known.replica, known.app = watched.replica, watched.app
                else:
                    self._watched[replica_id] = watched
                    heapq.heappush(self._due, (now + watched.app.health_interval_s, replica_id))
            for replica_id in self._watched.keys() - fresh.keys():
                del self._watched[replica_id]
        return min(REFRESH_S, soonest)

    def _wake_backoffs(self) -> float:
        """Mends the apps whose back-off is over; returns the seconds until the next one is."""
        now = self._platform.clock.now()
        with self._platform.database.reading() as session:
            waiting = session.execute(
                sa.select(Replica.app_id, sa.func.min(Replica.retry_at))
                .where(Replica.state == ReplicaState.BACKOFF)
                .group_by(Replica.app_id)
            ).all()
        soonest = REFRESH_S
        over = []
        for app_id, retry_at in waiting:
            left = (retry_at - now).total_seconds() if retry_at is not None else 0.0
            if left <= 0 or left > LONGEST_S:  # that long only when the clock was set back
                over.append(app_id)
                soonest = min(soonest, 2.0)  # its mend may still wait behind another job of the app
            else:
                soonest = min(soonest, left)
        if over:
            with self._platform.database.transaction() as session:
                for app_id in over:
                    ask_to_mend(session, app_id)
        return max(soonest, 0.05)

    def _ask(self, watched: Watched) -> None:
        replica, app = watched.replica, watched.app
        try:
            verdict = ask(self._platform.probe, app, replica, **asked_of(self._platform, app))
            if not verdict.healthy or replica.failures:
                self._record(replica, app, verdict)
        except (DBAPIError, PoolExhausted) as error:
            log.warning("a health check could not be recorded: %s", error)
        except Exception:
            log.exception("the health check of %s broke", replica.id)  # the pool would keep it to itself
        finally:
            # A failing replica is asked again sooner: three failures shall not take three long intervals.
            pause = min(app.health_interval_s, 5) if replica.failures else app.health_interval_s
            self._answered(watched, time.monotonic() + pause)

    def _record(self, replica: Replica, app: App, verdict: Verdict) -> None:
        with self._platform.database.transaction() as session:
            row = session.get(Replica, replica.id, with_for_update=True)
            if row is None or row.state != ReplicaState.HEALTHY:
                return
            row.failures = 0 if verdict.healthy else row.failures + 1
            if not verdict.healthy:
                row.last_failure = verdict.reason
            # What is looked after by its runtime is replaced by it: the swarm asks the same question from inside.
            if row.failures >= app.health_retries and not self._platform.runtime.heals:
                row.state = ReplicaState.UNHEALTHY
                row.last_failure = f"{row.failures} health checks in a row failed: {verdict.reason}"
                ask_to_mend(session, app.id)
            replica.failures = row.failures
