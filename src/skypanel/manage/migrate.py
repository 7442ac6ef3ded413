"""The database's schema: brought to the newest revision by Alembic, in process."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import skypanel
from skypanel.db import Base, Database
from skypanel.db import migrations as migrations_package

DIRECTORY = Path(str(migrations_package.__file__)).parent


class NewerDatabase(Exception):
    """A newer SkyPanel has migrated this database; the message is one line that says what to do."""


def load_models() -> sa.MetaData:
    """Every room's tables. Found by looking, so that a new room cannot be forgotten."""
    for room in pkgutil.iter_modules(skypanel.__path__, "skypanel."):
        if (
            room.ispkg
            and (Path(str(skypanel.__file__)).parent / room.name.removeprefix("skypanel.") / "models.py").exists()
        ):
            importlib.import_module(f"{room.name}.models")
    return Base.metadata


def configuration(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = load_models()
    return config


def head() -> str | None:
    """The newest revision this code knows."""
    return ScriptDirectory(str(DIRECTORY)).get_current_head()


def current(database: Database) -> str | None:
    """The revision the database is at; None: empty."""
    with database.engine.execution_options(readonly=True).connect() as connection:  # waits for no writer
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.execute(
            sa.text("SELECT version_num FROM alembic_version")
        ).scalar_one_or_none()
        return revision


def refuse_newer(database: Database) -> None:
    """Raises NewerDatabase when the database is at a revision this code does not know."""
    found = current(database)
    known = {script.revision for script in ScriptDirectory(str(DIRECTORY)).walk_revisions()}
    if found is not None and found not in known:
        raise NewerDatabase(
            f"The database is at revision {found}, which this SkyPanel (up to {head()}) does not know: a newer one has "
            "migrated it. Run that one, or restore a backup made by this one into an empty data directory."
        )


def upgrade(database: Database) -> None:
    """To the newest revision, in one transaction. Two that do it at once wait for each other. Raises NewerDatabase."""
    refuse_newer(database)
    with database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7355608)"))
        command.upgrade(configuration(connection), "head")


def write_revision(database: Database, *, revision_id: str, message: str) -> None:
    """For developers: a new revision file with what differs between the models and the database."""
    with database.engine.begin() as connection:
        command.revision(configuration(connection), message=message, autogenerate=True, rev_id=revision_id)
