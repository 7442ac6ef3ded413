"""How the worker learns of an enqueued job. Messages: `job` (something was enqueued) and `cancel <job id>`; an empty
one says only that some may have been missed."""

from __future__ import annotations

from skypanel.db import Database, Session
from skypanel.db.wakers import LocalWaker, PostgresWaker, SocketWaker, Waker, notify

__all__ = ["LocalWaker", "PostgresWaker", "SocketWaker", "Waker", "announce", "install", "installed"]

CHANNEL = "skypanel_jobs"
_OPTION = "skypanel_waker"


def install(database: Database, waker: Waker) -> None:
    """From now on, `announce` finds `waker` through every session of `database`."""
    database.engine.update_execution_options(**{_OPTION: waker})


def installed(database: Database) -> Waker:
    """The database's waker; when none was installed, one that fits it is (PostgreSQL's own, or in process)."""
    waker: Waker | None = database.engine.get_execution_options().get(_OPTION)
    if waker is None:
        waker = (
            PostgresWaker(database.engine.url, channel=CHANNEL) if database.dialect == "postgresql" else LocalWaker()
        )
        install(database, waker)
    return waker


def announce(session: Session, message: str) -> None:
    bind = session.get_bind()
    waker: Waker | None = bind.get_execution_options().get(_OPTION)
    if waker is not None:
        waker.announce(session, message)
    elif bind.dialect.name == "postgresql":
        notify(session, CHANNEL, message)
