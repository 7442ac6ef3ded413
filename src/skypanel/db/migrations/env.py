"""Run by Alembic. The connection and the tables come from `skypanel.manage.migrate`, since this room knows no table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alembic import context

from skypanel.db.base import Moment, UtcDateTime

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def render_item(kind: str, value: object, autogen: AutogenContext) -> str | Literal[False]:
    """Our own column type by its name, so that revisions stay readable."""
    if kind == "type" and isinstance(value, UtcDateTime):
        autogen.imports.add("from skypanel.db import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(value, Moment):
        autogen.imports.add("from skypanel.db.base import Moment")
        return "Moment()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    render_as_batch=True,  # SQLite alters tables by copying them
    render_item=render_item,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
