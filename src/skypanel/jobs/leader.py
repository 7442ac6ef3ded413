"""One of several workers: a lease by the database's clock, kept by its holder, taken by another when it has run out."""

from __future__ import annotations

import logging
import threading
import time

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from skypanel.db import Database, Session
from skypanel.jobs.models import EpochNow, Leader

log = logging.getLogger(__name__)
LEASE_S = 10.0
MARGIN_S = 2.0  # its holder stops believing in it so long before it runs out


def leads(session: Session, name: str) -> bool:
    """Whether anybody does."""
    found = session.scalar(
        sa.select(sa.func.count()).select_from(Leader).where(Leader.name == name, _until > EpochNow())
    )
    return bool(found)


_until: sa.ColumnElement[float] = sa.type_coerce(Leader.until, sa.Double())


class Leadership:
    """`holder`: unique among living workers."""

    def __init__(self, database: Database, *, name: str, holder: str, lease_s: float = LEASE_S) -> None:
        self._database, self._name, self._holder, self._lease_s = database, name, holder, lease_s
        self._until = 0.0
        self._stopping = threading.Event()
        self._gained = threading.Event()

    def held(self) -> bool:
        return time.monotonic() < self._until

    def wait(self, timeout_s: float) -> bool:
        """Until it is ours, or the time is over."""
        return self._gained.wait(timeout_s) and self.held()

    def run(self) -> None:
        """Asks for it and keeps it, until `stop`."""
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                if self._take():
                    self._until = began + self._lease_s - MARGIN_S
                    self._gained.set()
            except (DBAPIError, PoolExhausted) as error:
                log.warning("the lease on %s cannot be kept: %s", self._name, error)
            self._stopping.wait(self._lease_s / 5)

    def stop(self) -> None:
        """Gives it back, so that the next one need not wait."""
        self._stopping.set()
        self._until = 0.0
        try:
            with self._database.transaction() as session:
                session.execute(sa.delete(Leader).where(Leader.name == self._name, Leader.holder == self._holder))
        except (DBAPIError, PoolExhausted) as error:
            log.info("the lease on %s runs out by itself: %s", self._name, error)

    def _take(self) -> bool:
        until = sa.type_coerce(EpochNow() + self._lease_s, Leader.until.type)
        mine = sa.or_(Leader.holder == self._holder, _until <= EpochNow())
        with self._database.transaction() as session:
            taken = sa.update(Leader).where(Leader.name == self._name, mine).values(holder=self._holder, until=until)
            if session.execute(taken).rowcount:  # type: ignore[attr-defined]
                return True
            if session.get(Leader, self._name) is not None:
                return False
        try:
            with self._database.transaction() as session:
                session.execute(sa.insert(Leader).values(name=self._name, holder=self._holder, until=until))
        except IntegrityError:
            return False
        return True
