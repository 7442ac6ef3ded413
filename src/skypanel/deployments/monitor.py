"""Liveness: asks every serving replica by its app's health check, and hands the app to `mend` after three failures in
a row or when a back-off has run out. One thread keeps the schedule; a few ask."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.deployments.ask_release import app_key
from skypanel.deployments.health import Verdict, ask
from skypanel.deployments.models import Replica, ReplicaState
from skypanel.deployments.platform import Platform
from skypanel.jobs import enqueue

log = logging.getLogger(__name__)
ASKING = 8
REFRESH_S = 15.0


def ask_to_mend(session: Session, app_id: str) -> None:
    """One queued mend per app is enough."""
    enqueue(
        session, kind="app.mend", queue="mends", key=app_key(app_id), dedup=f"mend:{app_id}", args={"app_id": app_id}
    )


@dataclass
class _Watched:
    replica: Replica
    app: App
    asking: bool = False


class Monitor:
    """`changed` may be set from anywhere: the list of replicas is read again at once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._watched: dict[str, _Watched] = {}
        self._due: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self.changed = threading.Event()

    def run(self) -> None:
        refresh_at = 0.0
        with ThreadPoolExecutor(ASKING, thread_name_prefix="health") as pool:
            while not self._stop.is_set():
                now = time.monotonic()
                if now >= refresh_at or self.changed.is_set():
                    self.changed.clear()
                    refresh_at = now + self._refresh(now)
                while self._due and self._due[0][0] <= now:
                    _, replica_id = heapq.heappop(self._due)
                    watched = self._watched.get(replica_id)
                    if watched is not None and not watched.asking:
                        watched.asking = True
                        pool.submit(self._ask, watched)
                until = min(refresh_at, self._due[0][0] if self._due else refresh_at)
                self.changed.wait(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        self._stop.set()
        self.changed.set()

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
        except DBAPIError as error:
            log.warning("the database cannot be read, health checks wait: %s", error)
            return 2.0
        fresh = {replica.id: _Watched(replica, app) for replica, app in rows}
        for replica_id, watched in fresh.items():
            if replica_id in self._watched:
                watched.asking = self._watched[replica_id].asking
                self._watched[replica_id].replica, self._watched[replica_id].app = watched.replica, watched.app
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
            if left <= 0:
                over.append(app_id)
                soonest = min(soonest, 2.0)  # its mend may still wait behind another job of the app
            else:
                soonest = min(soonest, left)
        if over:
            with self._platform.database.transaction() as session:
                for app_id in over:
                    ask_to_mend(session, app_id)
        return max(soonest, 0.05)

    def _ask(self, watched: _Watched) -> None:
        replica, app = watched.replica, watched.app
        try:
            verdict = ask(app, replica, host=self._platform.app_host(app.slug))
            if not verdict.healthy or replica.failures:
                self._record(replica, app, verdict)
        except DBAPIError as error:
            log.warning("a health check could not be recorded: %s", error)
        finally:
            watched.asking = False
            # A failing replica is asked again sooner: three failures shall not take three long intervals.
            pause = min(app.health_interval_s, 5) if replica.failures else app.health_interval_s
            heapq.heappush(self._due, (time.monotonic() + pause, replica.id))
            if pause < app.health_interval_s:
                self.changed.set()

    def _record(self, replica: Replica, app: App, verdict: Verdict) -> None:
        with self._platform.database.transaction() as session:
            row = session.get(Replica, replica.id, with_for_update=True)
            if row is None or row.state != ReplicaState.HEALTHY:
                return
            row.failures = 0 if verdict.healthy else row.failures + 1
            if not verdict.healthy:
                row.last_failure = verdict.reason
            if row.failures >= app.health_retries:
                row.state = ReplicaState.UNHEALTHY
                row.last_failure = f"{row.failures} health checks in a row failed: {verdict.reason}"
                ask_to_mend(session, app.id)
            replica.failures = row.failures
