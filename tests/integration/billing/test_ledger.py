"""The books: what goes in, and what the database refuses."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DatabaseError

from skypanel.billing.ledger import Entry, balance, check, post, post_all
from skypanel.billing.models import JournalKind
from skypanel.db import Database
from skypanel.orgs.models import Organization

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def books(each_database: Database) -> Database:
    with each_database.transaction() as session:
        for slug in ("acme", "globex"):
            session.add(Organization(id=slug, slug=slug, name=slug.title(), created_at=NOW))
    return each_database


def entry(amount: int, *, organization: str = "acme", key: str = "k", kind: str = "credit") -> Entry:
    return Entry(organization, JournalKind(kind), amount, key, "a reason", "root@example.com")


def enter(books: Database, *entries: Entry) -> None:
    with books.transaction() as session:
        post_all(session, entries, currency="USD", now=NOW)


def held(books: Database, organization: str = "acme") -> int:
    with books.reading() as session:
        assert check(session) == []
        return balance(session, organization)


def test_a_balance_is_the_sum_of_what_was_entered(books: Database) -> None:
    assert held(books) == 0
    enter(books, entry(5_000_000), entry(-6_900, key="u", kind="usage"), entry(1, organization="globex", key="g"))
    assert (held(books), held(books, "globex")) == (4_993_100, 1)
    enter(books, entry(-4_993_101, key="more", kind="usage"))
    assert held(books) == -1


def test_a_key_is_used_once(books: Database) -> None:
    enter(books, entry(5))
    with pytest.raises(DatabaseError):
        enter(books, entry(5))
    assert held(books) == 5


BROKEN = {
    "a posting is changed": "UPDATE ledger_postings SET amount_micro = amount_micro + 1",
    "a posting is removed": "DELETE FROM ledger_postings",
    "a journal is changed": "UPDATE ledger_journals SET reason = 'x'",
    "a journal is removed": "DELETE FROM ledger_journals",
    "a balance is written": "UPDATE ledger_accounts SET balance_micro = balance_micro + 1 WHERE kind = 'wallet'",
    "an account is removed": "DELETE FROM ledger_accounts WHERE kind = 'wallet'",
    "an account begins with money":
        "INSERT INTO ledger_accounts VALUES ('wallet:globex', 'wallet', 'globex', 'USD', 0, 5)",
    "a posting skips a number": "INSERT INTO ledger_postings VALUES ('wallet:acme', 9, 'j', 1, 6)",
    "a posting miscounts": "INSERT INTO ledger_postings VALUES ('wallet:acme', 2, 'j', 1, 7)",
    "a posting of nothing": "INSERT INTO ledger_postings VALUES ('wallet:acme', 2, 'j', 0, 5)",
    "a posting without a journal": "INSERT INTO ledger_postings VALUES ('wallet:acme', 2, 'j', 1, 6)",
    "a journal without postings":
        "INSERT INTO ledger_journals (id, organization_id, kind, key, reason, author, created_at) "
        "VALUES ('j', 'acme', 'credit', 'x', 'r', 'a', '2026-01-01')",
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_the_database_refuses_what_is_no_bookkeeping(books: Database, what: str) -> None:
    enter(books, entry(5))
    with pytest.raises(DatabaseError), books.engine.begin() as connection:
        connection.exec_driver_sql(BROKEN[what])
    assert held(books) == 5


def test_a_journal_that_is_closed_takes_no_more_postings(books: Database) -> None:
    enter(books, entry(5))
    with books.engine.connect() as connection:
        (journal,) = connection.execute(sa.text("SELECT id FROM ledger_journals")).scalars()
    with pytest.raises(DatabaseError, match="closed"), books.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO ledger_accounts VALUES ('usage', 'usage', NULL, 'USD', 0, 0)"))
        connection.execute(sa.text(f"INSERT INTO ledger_postings VALUES ('usage', 1, '{journal}', 1, 1)"))


@pytest.mark.parametrize(("other", "refused"), [(1, True), (-2, True), (-1, False)])
def test_a_journal_has_to_sum_to_zero(books: Database, other: int, refused: bool) -> None:
    enter(books, entry(5))

    def entered() -> None:
        with books.engine.begin() as connection:
            for statement in (
                "INSERT INTO ledger_accounts VALUES ('usage', 'usage', NULL, 'USD', 0, 0)",
                "INSERT INTO ledger_postings VALUES ('wallet:acme', 2, 'j', 1, 6)",
                f"INSERT INTO ledger_postings VALUES ('usage', 1, 'j', {other}, {other})",
                BROKEN["a journal without postings"],
            ):
                connection.exec_driver_sql(statement)

    if refused:
        with pytest.raises(DatabaseError, match="does not sum to zero"):
            entered()
    else:
        entered()
    assert held(books) == (5 if refused else 6)


def test_two_at_once_lose_nothing(books: Database) -> None:
    def many(name: str) -> None:
        for number in range(20):
            with books.transaction() as session:
                post(session, entry(7, key=f"{name}:{number}"), currency="USD", now=NOW)

    threads = [threading.Thread(target=many, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held(books) == 80 * 7


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["acme", "globex"]), st.sampled_from(list(JournalKind)),
                st.integers(-(10**15), 10**15).filter(bool),
            ),
            max_size=5,
        ),
        max_size=6,
    )
)  # fmt: skip
def test_any_entries_leave_the_books_in_order(
    books: Database, batches: list[list[tuple[str, JournalKind, int]]]
) -> None:
    before = {name: held(books, name) for name in ("acme", "globex")}
    for batch in batches:
        number = sum(1 for _ in batch)
        keys = [f"{datetime.now(UTC).timestamp()}:{n}" for n in range(number)]
        enter(books, *(Entry(o, k, a, key, "why", "who") for (o, k, a), key in zip(batch, keys, strict=True)))
    for name, was in before.items():
        assert held(books, name) == was + sum(a for batch in batches for o, _, a in batch if o == name)
