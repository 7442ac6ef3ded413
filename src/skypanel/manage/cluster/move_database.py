"""`python3 -m skypanel.manage.cluster.move_database FILE`: a one-machine installation's SQLite into the cluster's
PostgreSQL, all of it in one transaction. Run again it does it again: what the cluster has is replaced."""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa

from skypanel.db import Database
from skypanel.manage.migrate import NewerDatabase, load_models, upgrade
from skypanel.settings import Settings

CHUNK = 500


def move(source: Database, target: Database) -> dict[str, int]:
    """Rows by table. Both are at the newest revision afterwards. Raises NewerDatabase, AssertionError."""
    upgrade(source)
    upgrade(target)
    tables = load_models().sorted_tables
    moved = {}
    with source.engine.connect() as from_, target.engine.begin() as to:
        for table in reversed(tables):
            to.execute(sa.delete(table))
        for table in tables:
            rows = from_.execution_options(yield_per=CHUNK).execute(sa.select(table))
            for chunk in rows.partitions():
                to.execute(sa.insert(table), [dict(row._mapping) for row in chunk])
            _continue_numbers(to, table)
            there = to.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            here = from_.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            assert there == here, f"{table.name}: {there} rows instead of {here}"
            moved[table.name] = there
    return moved


def _continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Numbers that the database gives go on behind those that were given."""
    column = table.autoincrement_column
    if connection.dialect.name == "postgresql" and column is not None and column.autoincrement is True:
        newest = sa.select(sa.func.max(column)).scalar_subquery()
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(newest, 1))))


def main(arguments: list[str]) -> None:
    source = Database(f"sqlite:///{Path(arguments[0])}")
    target = Database(Settings().effective_database_url)
    try:
        moved = move(source, target)
    except NewerDatabase as error:
        raise SystemExit(str(error)) from error
    finally:
        source.close()
        target.close()
    print(f"{sum(moved.values())} rows of {len(moved)} tables moved.")


if __name__ == "__main__":
    main(sys.argv[1:])
