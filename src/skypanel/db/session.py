"""One request or one step is one transaction: `with database.transaction() as session:` is the only commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session as _Session
from sqlalchemy.orm import sessionmaker

Session = _Session


def make_engine(url: str) -> sa.Engine:
    """An engine for `sqlite:///path` (WAL, foreign keys, immediate transactions) or `postgresql+psycopg://…`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_size=10, max_overflow=20, pool_pre_ping=True, hide_parameters=True)
    # `hide_parameters`: errors are logged, and values of statements may be secrets.
    engine = sa.create_engine(
        parsed, pool_size=10, max_overflow=20, connect_args={"check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        # A deferred transaction that reads first and writes later fails at once with "database is locked" when
        # another writer came between; an immediate one waits for its turn. Readers say so and stay deferred.
        mode = "DEFERRED" if connection.get_execution_options().get("readonly") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


class Database:
    """Sessions of one database. `after_commit` hooks run after each commit of a session that asked for them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(url)
        self.dialect = self.engine.dialect.name
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commits at the end, rolls back on any error."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads: on SQLite it does not wait for writers. Nothing is committed."""
        with self._sessions(bind=self.engine.execution_options(readonly=True)) as session:
            yield session

    def after_flush(self, hook: Callable[..., None]) -> None:
        """`hook(session, context)` runs after each flush of a session of this database, within its transaction."""
        event.listen(self._sessions, "after_flush", hook)

    def sessions_know(self, name: str, value: object) -> None:
        """From now on it stands in each session's `info`."""
        self._sessions.configure(info={**self._sessions.kw.get("info", {}), name: value})

    def close(self) -> None:
        self.engine.dispose()


def after_commit(session: Session, key: str, hook: Callable[[], None]) -> None:
    """Runs `hook` once after the session's commit; a second hook of the same key in one transaction is dropped."""
    hooks: dict[str, Callable[[], None]] | None = session.info.get("after_commit")
    if hooks is None:
        hooks = session.info["after_commit"] = {}

        @event.listens_for(session, "after_commit")
        def _run(_session: Session) -> None:
            if session.in_nested_transaction():
                return  # the release of a savepoint; others see nothing of it before the outermost commit
            pending = list(hooks.values())
            hooks.clear()
            for pending_hook in pending:
                pending_hook()

    hooks.setdefault(key, hook)
