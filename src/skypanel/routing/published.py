"""The router of a cluster: routes are published in the database, ingress nodes follow and say what they have loaded."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import orjson
import sqlalchemy as sa

from skypanel.db import Database, Session
from skypanel.db.changes import Changes
from skypanel.drivers.router.check import check
from skypanel.drivers.router.port import Backend, Page, Route
from skypanel.kit.clock import Clock
from skypanel.routing.models import EDGES, EdgeNode, PublishedRoute, RouteRevision

LIVE = timedelta(seconds=8)  # a node asks every three seconds at least
LOOK_S = 0.5  # beside being told
THE_ONE = 1
NOTHING = 1  # the revision before the first route; a node that has nothing yet says 0


def write(route: Route) -> str:
    return orjson.dumps(asdict(route), option=orjson.OPT_SORT_KEYS).decode()


def read(text: str) -> Route:
    found = orjson.loads(text)
    return Route(
        **found
        | {
            "hosts": tuple(found["hosts"]),
            "backends": tuple(Backend(**backend) for backend in found["backends"]),
            "page": Page(found["page"]) if found["page"] else None,
        }
    )


def live_edges(session: Session, now: datetime) -> Sequence[EdgeNode]:
    return list(session.scalars(sa.select(EdgeNode).where(EdgeNode.seen_at > now - LIVE).order_by(EdgeNode.name)))


def next_revision(session: Session) -> int:
    """Holds the row until the commit: whoever follows sees no revision before a smaller one."""
    row = session.get(RouteRevision, THE_ONE, with_for_update=True)
    if row is None:
        row = RouteRevision(id=THE_ONE, value=NOTHING)
        session.add(row)
    row.value += 1
    session.flush()
    return row.value


class PublishedRouter:
    """A `Router` for the verbs; nothing of it is on this machine."""

    def __init__(self, database: Database, clock: Clock, changes: Changes) -> None:
        self._database, self._clock, self._changes = database, clock, changes

    def put(self, route: Route) -> None:
        check(route)
        content, fingerprint = write(route), self.fingerprint(route)
        with self._database.transaction() as session:
            row = session.get(PublishedRoute, route.key, with_for_update=True)
            if row is not None and row.fingerprint == fingerprint:
                return
            self._set(session, route.key, row, content, fingerprint)

    def remove(self, key: str) -> None:
        with self._database.transaction() as session:
            row = session.get(PublishedRoute, key, with_for_update=True)
            if row is not None and row.content is not None:
                self._set(session, key, row, None, None)

    def _set(
        self, session: Session, key: str, row: PublishedRoute | None, content: str | None, fingerprint: str | None
    ) -> None:
        revision = next_revision(session)
        if row is None:
            session.add(PublishedRoute(key=key, revision=revision, content=content, fingerprint=fingerprint))
        else:
            row.revision, row.content, row.fingerprint = revision, content, fingerprint

    def routes(self) -> Mapping[str, str]:
        with self._database.reading() as session:
            rows = sa.select(PublishedRoute.key, PublishedRoute.fingerprint).where(PublishedRoute.content.is_not(None))
            return {key: fingerprint for key, fingerprint in session.execute(rows) if fingerprint is not None}

    def fingerprint(self, route: Route) -> str:
        return hashlib.sha256(write(route).encode()).hexdigest()

    def confirm(self, route: Route, *, timeout_s: float) -> bool:
        """True when every living ingress node serves by this route, and there is one."""
        deadline = time.monotonic() + timeout_s
        told = threading.Event()
        subscription = self._changes.subscribe(told.set)
        subscription.topics = frozenset({EDGES})
        try:
            while True:
                told.clear()
                if self._loaded(route):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                told.wait(min(LOOK_S, left))
        finally:
            subscription.close()

    def _loaded(self, route: Route) -> bool:
        with self._database.reading() as session:
            row = session.get(PublishedRoute, route.key)
            if row is None or row.fingerprint != self.fingerprint(route):
                return False
            edges = live_edges(session, self._clock.now())
            return bool(edges) and all(edge.loaded >= row.revision for edge in edges)

    def ready(self) -> bool:
        with self._database.reading() as session:
            return bool(live_edges(session, self._clock.now()))
