"""Setting and deleting variables. Names go to the activity feed; values go nowhere but into the vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from skypanel.activity.record import Actor, record
from skypanel.apps.env_rows import rows_of
from skypanel.apps.models import App, EnvVar
from skypanel.apps.queries import lock_app
from skypanel.apps.variables import check_changes, check_total
from skypanel.apps.vault import Encrypts, Undecryptable
from skypanel.db import Session
from skypanel.errors import NotFound
from skypanel.kit.slug import ENV_NAME


@dataclass(frozen=True)
class EnvChange:
    """Names only: this goes to the activity feed and to answers."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs from before, so that a release would see it."""
        return bool(self.added or self.updated or self.removed)

    def sentence(self) -> str:
        parts = []
        if self.added or self.updated:
            parts.append(f"set {_listed(sorted(self.added + self.updated))}")
        if self.removed:
            parts.append(f"removed {_listed(self.removed)}")
        return " and ".join(parts)


def _listed(names: Sequence[str]) -> str:
    head = ", ".join(names[:10])
    return head if len(names) <= 10 else f"{head} and {len(names) - 10} more"


def set_variables(
    session: Session, *, app: App, changes: Mapping[str, str | None], vault: Encrypts, by: Actor, now: datetime
) -> EnvChange:
    """Sets the named variables and removes those given as None; the others stay.

    A value that is already stored is left alone and counted as unchanged. Nothing is changed when any name or value is
    not possible. Raises Invalid (`env_invalid`, `env_too_large`).
    """
    check_changes(changes)
    lock_app(session, app)
    change = _apply(session, app=app, changes=changes, vault=vault, now=now)
    if change:
        _record(session, app=app, change=change, by=by, now=now)
    return change


def replace_variables(
    session: Session, *, app: App, variables: Mapping[str, str], vault: Encrypts, now: datetime
) -> EnvChange:
    """Makes the variables exactly these: what a restored snapshot needs. The caller tells the activity feed."""
    lock_app(session, app)
    gone = {row.name: None for row in rows_of(session, app.id) if row.name not in variables}
    return _apply(session, app=app, changes={**gone, **variables}, vault=vault, now=now)


def delete_variable(session: Session, *, app: App, name: str, by: Actor, now: datetime) -> EnvChange:
    """Raises NotFound (`env_not_found`) when the application has no such variable."""
    lock_app(session, app)
    row = session.get(EnvVar, (app.id, name)) if ENV_NAME.fullmatch(name) else None
    if row is None:
        raise NotFound("This application has no variable of that name.", code="env_not_found")
    session.delete(row)
    session.flush()
    change = EnvChange(removed=(name,))
    _record(session, app=app, change=change, by=by, now=now)
    return change


def _apply(
    session: Session, *, app: App, changes: Mapping[str, str | None], vault: Encrypts, now: datetime
) -> EnvChange:
    stored = {row.name: row for row in rows_of(session, app.id)}
    before = {name: value for name, row in stored.items() if (value := _opened(vault, row.value)) is not None}
    after: dict[str, str | None] = {**before, **changes}
    check_total({name: value for name, value in after.items() if value is not None})
    added, updated, removed, unchanged = [], [], [], []
    for name in sorted(changes):
        value, row = changes[name], stored.get(name)
        if value is None:
            if row is not None:
                session.delete(row)
                removed.append(name)
        elif row is None:
            content = vault.encrypt(value.encode())
            session.add(EnvVar(app_id=app.id, name=name, value=content, created_at=now, updated_at=now))
            added.append(name)
        elif before.get(name) == value:
            unchanged.append(name)
        else:
            row.value, row.updated_at = vault.encrypt(value.encode()), now
            updated.append(name)
    session.flush()
    return EnvChange(tuple(added), tuple(updated), tuple(removed), tuple(unchanged))


def _opened(vault: Encrypts, token: bytes) -> str | None:
    # A damaged value must not stand in the way of setting it anew, which is its remedy.
    try:
        return vault.decrypt(token).decode()
    except Undecryptable:
        return None


def _record(session: Session, *, app: App, change: EnvChange, by: Actor, now: datetime) -> None:
    record(
        session,
        organization_id=app.organization_id,
        by=by,
        verb="env.changed",
        on=("app", app.id, app.slug),
        message=f"{change.sentence()} on {app.slug}",
        now=now,
        detail={"set": sorted(change.added + change.updated), "removed": list(change.removed)},
    )
