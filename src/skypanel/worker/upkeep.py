"""Retention of what nobody asks for any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from skypanel.accounts.models import LoginFailure, UserSession
from skypanel.db import Database
from skypanel.drivers.logstore.port import LogStore
from skypanel.jobs import prune
from skypanel.kit.clock import Clock

if TYPE_CHECKING:  # one machine does without what it loads
    from skypanel.drivers.builder.images import Sweep

JOBS_KEPT = timedelta(days=7)
BATCH = 1000


@dataclass(frozen=True)
class Upkeep:
    database: Database
    clock: Clock
    logs: LogStore
    log_retention_days: int
    log_max_bytes_per_app: int
    log_max_bytes: int
    retain_caches: Callable[[], int]  # removes build caches that were not used for too long
    images: Sweep | None = None  # of a cluster's registry

    def prune_jobs(self) -> int:
        total = 0
        while True:
            with self.database.transaction() as session:
                count = prune(session, older_than=self.clock.now() - JOBS_KEPT, limit=BATCH)
            total += count
            if count < BATCH:
                return total

    def retain_logs(self) -> int:
        """Bytes freed."""
        oldest = self.clock.now() - timedelta(days=self.log_retention_days)
        return self.logs.retain(
            older_than_ns=int(oldest.timestamp() * 1_000_000_000),
            max_bytes_per_stream=self.log_max_bytes_per_app,
            max_bytes=self.log_max_bytes,
        )

    def sweep_images(self, wait: Callable[[float], bool]) -> int:
        """Bytes freed. `wait`: a job's."""
        return 0 if self.images is None else self.images.run(wait).size

    def forget_sessions(self) -> None:
        """Sign-ins that ended a month ago, and failed ones that no longer count."""
        now = self.clock.now()
        with self.database.transaction() as session:
            session.execute(sa.delete(UserSession).where(UserSession.expires_at < now - timedelta(days=30)))
            session.execute(sa.delete(LoginFailure).where(LoginFailure.at < now - timedelta(days=1)))
