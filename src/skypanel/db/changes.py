"""What was committed, told to whoever shows it: pages follow topics such as `app:<id>`, in any process of the platform.

A row says which topics it belongs to (`Base.topics`). Each flush collects the topics of the rows it wrote, and `touch`
names those of rows written past the ORM; when, and only when, the transaction commits, one message with all of them
goes to every listening process. A message is a hint: who is woken looks into the database, and looks by the clock too,
rarely, in case one was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from skypanel.db.session import Database, Session
from skypanel.db.wakers import LARGEST, LocalWaker, Waker

CHANNEL = "skypanel_changes"
EVERYTHING = "*"
_PENDING = "changed topics"
_TELL = "tell changes"


class Subscription:
    """`topics` may be changed at any time. Close it when nobody waits any more."""

    def __init__(self, changes: Changes, wake: Callable[[], None]) -> None:
        self.topics: frozenset[str] = frozenset()
        self.wake = wake
        self._changes = changes

    def close(self) -> None:
        self._changes.drop(self)


class Changes:
    """Of one database, in one process. Hears nothing before the first subscription."""

    def __init__(self, waker: Waker | None = None) -> None:
        self._waker = waker or LocalWaker()
        self._subscriptions: set[Subscription] = set()
        self._lock = threading.Lock()
        self._listening: ExitStack | None = None

    def announce_for(self, database: Database) -> None:
        """From now on, commits of `database` in this process are told."""
        database.after_flush(self._flushed)
        database.sessions_know(_TELL, self._tell)

    def subscribe(self, wake: Callable[[], None]) -> Subscription:
        """`wake()` is called, in any thread, after each commit that touched one of the subscription's topics."""
        subscription = Subscription(self, wake)
        with self._lock:
            if self._listening is None:
                self._listening = ExitStack()
                self._listening.enter_context(self._waker.listening(self._heard))
            self._subscriptions.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        with self._lock:
            listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _heard(self, message: str) -> None:
        topics = frozenset(message.split())
        everything = EVERYTHING in topics or not topics
        with self._lock:
            woken = [one for one in self._subscriptions if everything or one.topics & topics]
        for subscription in woken:
            subscription.wake()

    def _flushed(self, session: Session, *_: Any) -> None:
        self._tell(session, _topics_of((*session.new, *session.dirty, *session.deleted)))

    def _tell(self, session: Session, changed: Iterable[str]) -> None:
        told: set[str] = session.info.setdefault(_PENDING, set())  # a session is one transaction
        topics = set(changed) - told
        if topics:
            told |= topics
            self._waker.announce(session, _message(topics))


def touch(session: Session, topics: Iterable[str]) -> None:
    """For rows that no flush writes: bulk statements, and what triggers do. Told at the commit, each topic once."""
    tell: Callable[[Session, Iterable[str]], None] | None = session.info.get(_TELL)
    if tell is not None:
        tell(session, topics)


def _topics_of(rows: Iterable[Any]) -> set[str]:
    return {topic for row in rows for topic in row.topics()}


def _message(topics: Iterable[str]) -> str:
    text = " ".join(sorted(topics))
    return text if len(text.encode()) <= LARGEST else EVERYTHING
