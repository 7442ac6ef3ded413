"""Looks after what runs while a deployment of the same app fetches, builds and runs its release command.

Those stages hold the app's key for minutes and touch nothing that runs, so a replica that dies meanwhile is mended
beside them: as soon as somebody has asked for it, by this thread instead of the job that waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from skypanel.deployments.ask_release import app_key
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.mend import mend
from skypanel.deployments.platform import Platform
from skypanel.drivers.router.port import RouterFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.jobs import Job

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class _Until:
    over: threading.Event

    def cancelled(self) -> bool:
        return self.over.is_set()


@contextmanager
def tended(platform: Platform, app_id: str) -> Iterator[None]:
    """At the end nothing of it goes on: a mend under way stops waiting, and what it started is replaced or mended."""
    over = threading.Event()
    thread = threading.Thread(target=_look_after, args=(platform, app_id, over), name=f"tend-{app_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _look_after(platform: Platform, app_id: str, over: threading.Event) -> None:
    while not over.wait(LOOK_EVERY_S):
        try:
            if _asked(platform, app_id):
                mend(_Until(over), platform, app_id=app_id)
        except (DeployFailed, RuntimeFailed, RouterFailed, OSError, DBAPIError, PoolExhausted) as error:
            log.warning("%s could not be mended beside its deployment, trying again: %s", app_id, error)


def _asked(platform: Platform, app_id: str) -> bool:
    with platform.database.reading() as session:
        query = sa.select(Job.id).where(Job.key == app_key(app_id), Job.kind == "app.mend", Job.state == "queued")
        return session.scalars(query.limit(1)).first() is not None
