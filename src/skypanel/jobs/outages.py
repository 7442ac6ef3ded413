"""Telling a database that is away from a mistake of ours, and waiting for it."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading

import sqlalchemy.exc as sa_exc

log = logging.getLogger(__name__)

DATABASE_ERRORS = (sa_exc.OperationalError, sa_exc.InterfaceError, sa_exc.InternalError, sa_exc.TimeoutError)

_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
}


def is_outage(error: BaseException) -> bool:
    """True for what passes by itself. SQLite also calls a missing table "operational": that does not."""
    if isinstance(error, sa_exc.TimeoutError):  # of the connection pool
        return True
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        code: int = getattr(error.orig, "sqlite_errorcode", 0)
        return code & 0xFF in _SQLITE_AWAY
    return error.connection_invalidated or isinstance(error, (sa_exc.OperationalError, sa_exc.InterfaceError))


class Patience:
    """Growing, spread pauses between tries; one line in the log when it starts and one when it ends."""

    def __init__(self, what: str, *, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._what, self._first_s, self._longest_s = what, first_s, longest_s
        self._failures = 0

    def pause(self, error: BaseException, stopping: threading.Event) -> None:
        """Sleeps before the next try, or less when `stopping` is set."""
        if self._failures == 0:
            log.warning("%s: the database is away, trying again: %s", self._what, str(error).splitlines()[0])
        self._failures += 1
        ceiling = min(self._longest_s, self._first_s * 2 ** min(self._failures, 16))
        stopping.wait(ceiling * random.uniform(0.5, 1.0))  # noqa: S311  spreads the load, hides nothing

    def relieve(self) -> None:
        if self._failures:
            log.warning("%s: the database is back after %d failed tries", self._what, self._failures)
        self._failures = 0
