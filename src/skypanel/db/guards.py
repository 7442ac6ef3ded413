"""Triggers for tables whose rows are never changed, and for double entry, in the words of both databases.

Knows no table: names are given. A revision of the schema and the tests' `create_all` use the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import event


@dataclass(frozen=True)
class Trigger:
    """`body`: what PostgreSQL's function does, or SQLite's trigger."""

    name: str
    table: str
    when: str  # "BEFORE UPDATE", …
    postgresql: str
    sqlite: str

    def statements(self, dialect: str) -> Sequence[str]:
        if dialect == "sqlite":
            return (f"CREATE TRIGGER IF NOT EXISTS {self.name} {self.when} ON {self.table} BEGIN {self.sqlite} END",)
        function = (
            f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {self.postgresql} RETURN NEW; END $$"
        )
        return (
            function,
            f"CREATE OR REPLACE TRIGGER {self.name} {self.when} ON {self.table} "
            f"FOR EACH ROW EXECUTE FUNCTION {self.name}()",
        )

    def undo(self, dialect: str) -> Sequence[str]:
        if dialect == "sqlite":
            return (f"DROP TRIGGER {self.name}",)
        return (f"DROP TRIGGER {self.name} ON {self.table}", f"DROP FUNCTION {self.name}()")


def _refuse(condition: str, message: str) -> tuple[str, str]:
    return (
        f"IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END IF;",
        f"SELECT RAISE(ABORT, '{message}') WHERE {condition};",
    )


def attach(triggers: Sequence[Trigger], metadata: sa.MetaData) -> None:
    """`create_all` makes them too, with the tables it makes."""

    def make(_metadata: sa.MetaData, connection: sa.Connection, *, tables: Sequence[sa.Table], **_: object) -> None:
        made = {table.name for table in tables}
        install([trigger for trigger in triggers if trigger.table in made], connection)

    event.listen(metadata, "after_create", make)


def install(triggers: Sequence[Trigger], connection: sa.Connection) -> None:
    for trigger in triggers:
        for statement in trigger.statements(connection.dialect.name):
            connection.exec_driver_sql(statement)


def uninstall(triggers: Sequence[Trigger], connection: sa.Connection) -> None:
    for trigger in triggers:
        for statement in trigger.undo(connection.dialect.name):
            connection.exec_driver_sql(statement)


def append_only(table: str) -> Sequence[Trigger]:
    message = f"rows of {table} are never changed"
    return tuple(
        Trigger(f"{table}_no_{verb}", table, f"BEFORE {verb.upper()}", *_refuse("true", message))
        for verb in ("update", "delete")
    )


def double_entry(*, accounts: str, journals: str, postings: str) -> Sequence[Trigger]:
    """Postings come before their journal, which closes them and has to sum to zero. Each posting carries its account's
    next number and balance, so that the newest balance is the sum of all: an account's own row only repeats it."""
    head = f"(SELECT a.seq FROM {accounts} a WHERE a.id = NEW.account_id)"
    held = f"(SELECT a.balance_micro FROM {accounts} a WHERE a.id = NEW.account_id)"
    chain = _refuse(
        f"{head} IS NULL OR {head} + 1 <> NEW.seq OR {held} + NEW.amount_micro <> NEW.balance_micro",
        f"a row of {postings} does not follow its account",
    )
    closed = _refuse(
        f"EXISTS (SELECT 1 FROM {journals} j WHERE j.id = NEW.journal_id)", f"a row of {journals} is closed"
    )
    move = f"UPDATE {accounts} SET seq = NEW.seq, balance_micro = NEW.balance_micro WHERE id = NEW.account_id;"
    entries = f"FROM {postings} p WHERE p.journal_id = NEW.id"
    unbalanced = _refuse(
        f"(SELECT count(*) {entries}) < 2 OR (SELECT sum(p.amount_micro) {entries}) <> 0",
        f"a row of {journals} does not sum to zero",
    )
    newest = f"(SELECT p.balance_micro FROM {postings} p WHERE p.account_id = NEW.id AND p.seq = NEW.seq)"
    by_hand = _refuse(
        f"NEW.id <> OLD.id OR {newest} IS NULL OR {newest} <> NEW.balance_micro",
        f"balances of {accounts} follow from {postings}",
    )
    fresh = _refuse("NEW.seq <> 0 OR NEW.balance_micro <> 0", f"a row of {accounts} begins with nothing")
    kept = _refuse("true", f"rows of {accounts} are never removed")
    return (
        Trigger(f"{postings}_chain", postings, "BEFORE INSERT", chain[0] + closed[0], chain[1] + closed[1]),
        Trigger(f"{postings}_move", postings, "AFTER INSERT", move, move),
        Trigger(f"{journals}_close", journals, "BEFORE INSERT", *unbalanced),
        Trigger(f"{accounts}_follow", accounts, "BEFORE UPDATE", *by_hand),
        Trigger(f"{accounts}_begin", accounts, "BEFORE INSERT", *fresh),
        Trigger(f"{accounts}_keep", accounts, "BEFORE DELETE", *kept),
        *append_only(journals),
        *append_only(postings),
    )
