"""One request is one transaction, committed before the response is sent.

GET and HEAD get a transaction that only reads and never waits for writers; every other method gets one that is
committed after the endpoint returned and its response was made, or rolled back on any error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request

from skypanel.db import Session
from skypanel.http.context import services

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Fewer than the 40 threads that endpoints run in: a request that holds the database always finds a thread to go on,
# however many wait for their turn. Waiting for this limit takes no thread.
SESSIONS_AT_ONCE = 16


def request_session(request: Request) -> Iterator[Session]:
    database = services(request).database
    with database.reading() if request.method in SAFE_METHODS else database.transaction() as session:
        yield session


# `Depends` objects carry the limit, so there is exactly one.
DbSession = Annotated[Session, Depends(request_session, scope="function", max_concurrency=SESSIONS_AT_ONCE)]
ReadSession = DbSession  # for GET
WriteSession = DbSession  # for everything else
