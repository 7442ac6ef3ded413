"""`python3 -m skypanel.manage.cluster.move_database FILE`: a one-machine installation's SQLite into the cluster's
PostgreSQL, all of it in one transaction. Run again it does it again: what the cluster has is replaced.

The ledger is entered anew, with its guards in place: accounts begin with nothing, postings follow in their order, and
journals close them. So a ledger that is not in order is refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from skypanel.db import Database
from skypanel.manage.migrate import NewerDatabase, load_models, upgrade
from skypanel.settings import Settings

CHUNK = 500
LEDGER = ("ledger_accounts", "ledger_postings", "ledger_journals")
FRESH = {"ledger_accounts": {"seq": 0, "balance_micro": 0}}  # the postings move them


def move(source: Database, target: Database) -> dict[str, int]:
    """Rows by table. Both are at the newest revision afterwards. Raises NewerDatabase, AssertionError."""
    upgrade(source)
    upgrade(target)
    tables = _in_order(load_models().sorted_tables)
    moved = {}
    with source.engine.connect() as from_, target.engine.begin() as to:
        _empty(to, tables)
        for table in tables:
            query = sa.select(table).order_by(*table.primary_key.columns)  # postings: by account and number
            rows = from_.execution_options(yield_per=CHUNK).execute(query)
            for chunk in rows.partitions():
                to.execute(sa.insert(table), [dict(row._mapping) | FRESH.get(table.name, {}) for row in chunk])
            _continue_numbers(to, table)
            there = to.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            here = from_.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            assert there == here, f"{table.name}: {there} rows instead of {here}"
            moved[table.name] = there
    return moved


def _in_order(tables: Sequence[sa.Table]) -> Sequence[sa.Table]:
    """What others refer to first, but of the ledger its postings before the journals that close them."""
    ledger = {table.name: table for table in tables if table.name in LEDGER}
    first = min(tables.index(table) for table in ledger.values())
    others = [table for table in tables if table.name not in LEDGER]
    return [*others[:first], *(ledger[name] for name in LEDGER), *others[first:]]


def _empty(connection: sa.Connection, tables: Sequence[sa.Table]) -> None:
    """On PostgreSQL at once, which no guard of a row forbids."""
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.format_table
        connection.exec_driver_sql(f"TRUNCATE {', '.join(quote(table) for table in tables)}")
        return
    for table in reversed(tables):
        connection.execute(sa.delete(table))


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
