"""`Idempotency-Key` on POST: the same request again gets the first one's answer and does nothing.

The key is claimed and the answer kept in the request's own transaction, so that a change and the memory of it are
committed together or not at all; a second request of the same key that comes meanwhile waits for the first
(SQLite: for the write lock; PostgreSQL: on the unique index). A failed request leaves no trace and may be repeated.
Routes that nobody has signed in for (register, login) ignore the header.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import sqlalchemy as sa
from fastapi import Request, Response

from skypanel.db import Session
from skypanel.db.upsert import upsert
from skypanel.errors import FieldError, Invalid
from skypanel.http.context import Encrypts
from skypanel.http.models import IdempotentRequest

KEPT_FOR = timedelta(hours=24)
MAX_KEY = 255


@dataclass
class Attempt:
    """One request that carries a key: made by the route, claimed once the user is known."""

    key: str
    body: bytes
    session: Session | None = None
    id: str | None = None
    replay: Response | None = None


class Replay(Exception):
    """No error: it ends the request early with the answer it had before."""


def attempt_of(request: Request, body: bytes) -> Attempt | None:
    """Raises Invalid for a key that is empty or too long."""
    key = request.headers.get("idempotency-key")
    if request.method != "POST" or key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY:
        message = f"must have 1 to {MAX_KEY} characters"
        errors = [FieldError("Idempotency-Key", message)]
        raise Invalid(f"Idempotency-Key {message}.", code="idempotency_key_invalid", errors=errors)
    return Attempt(key, body)


def claim(request: Request, session: Session, vault: Encrypts, *, user_id: str, now: datetime) -> None:
    """Called when the user is known. Raises Replay when this request has been answered before (the answer is in the
    attempt), Invalid when the key was used for another body."""
    attempt: Attempt | None = getattr(request.state, "idempotency", None)
    if attempt is None or attempt.id is not None:
        return
    organization = request.headers.get("x-organization-id", "")
    identifier = _digest(user_id, organization, request.method, request.url.path, attempt.key)
    fingerprint = _digest(request.url.query, attempt.body)
    session.execute(sa.delete(IdempotentRequest).where(IdempotentRequest.created_at <= now - KEPT_FOR))
    claimed = session.execute(
        upsert(session, IdempotentRequest)
        .values(id=identifier, fingerprint=fingerprint, response=None, created_at=now)
        .on_conflict_do_nothing()
        .returning(IdempotentRequest.id)
    ).one_or_none()
    if claimed is not None:
        attempt.session, attempt.id = session, identifier
        return
    earlier = session.get_one(IdempotentRequest, identifier)
    if earlier.fingerprint != fingerprint or earlier.response is None:
        raise Invalid(
            "This Idempotency-Key was used for another request within the last 24 hours; use a new one.",
            code="idempotency_key_reused",
            errors=[FieldError("Idempotency-Key", "was used for another request")],
        )
    attempt.replay = _unpacked(vault.decrypt(earlier.response))
    raise Replay


def keep(attempt: Attempt, vault: Encrypts, response: Response) -> None:
    """Keeps the answer in the request's transaction, which is committed after this."""
    if attempt.session is None or attempt.id is None:
        return
    content = {
        "status": response.status_code,
        "type": response.headers.get("content-type"),
        "body": bytes(response.body).decode(),
    }
    attempt.session.execute(
        sa.update(IdempotentRequest)
        .where(IdempotentRequest.id == attempt.id)
        .values(response=vault.encrypt(orjson.dumps(content)))
    )


def _unpacked(content: bytes) -> Response:
    stored = orjson.loads(content)
    headers = {"Idempotent-Replayed": "true"}
    if stored["type"]:
        headers["Content-Type"] = stored["type"]
    return Response(stored["body"].encode(), status_code=stored["status"], headers=headers)


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
