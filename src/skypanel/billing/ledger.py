"""Postings: the one way money moves. What is entered stays; a mistake is mended by another entry.

Every entry is a pair, the organization's wallet and one of the platform's own accounts, and the database refuses one
that does not sum to zero or does not follow the balance before it (`db.guards`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from skypanel.billing.models import (
    COUNTER,
    AccountKind,
    JournalKind,
    LedgerAccount,
    LedgerJournal,
    LedgerPosting,
    WalletState,
)
from skypanel.db import Session
from skypanel.db.changes import touch
from skypanel.db.upsert import upsert
from skypanel.kit.ids import new_id


@dataclass(frozen=True)
class Entry:
    """`amount_micro`: what the wallet gets, negative when it pays; never zero. `key` makes it happen once."""

    organization_id: str
    kind: JournalKind
    amount_micro: int
    key: str
    reason: str
    author: str
    hour: datetime | None = None


def wallet_of(organization_id: str) -> str:
    """The id of its account, and the topic of what shows its money."""
    return f"wallet:{organization_id}"


def post(session: Session, entry: Entry, *, currency: str, now: datetime) -> str:
    """The id of its journal. Raises IntegrityError when its key has been used."""
    return post_all(session, [entry], currency=currency, now=now)[0]


def post_all(session: Session, entries: Sequence[Entry], *, currency: str, now: datetime) -> list[str]:
    """Ids of their journals, in order. Wallets and counter accounts stay locked until the transaction ends."""
    if not entries:
        return []
    organizations = {entry.organization_id for entry in entries}
    heads = _lock(session, organizations, {COUNTER[entry.kind] for entry in entries}, currency)
    postings, journals = [], []
    for entry in entries:
        journal_id = new_id()
        for account, amount in (
            (wallet_of(entry.organization_id), entry.amount_micro), (str(COUNTER[entry.kind]), -entry.amount_micro),
        ):  # fmt: skip
            seq, balance = heads[account]
            heads[account] = (seq + 1, balance + amount)
            postings.append({"account_id": account, "seq": seq + 1, "journal_id": journal_id,
                             "amount_micro": amount, "balance_micro": balance + amount})  # fmt: skip
        journals.append({
            "id": journal_id, "organization_id": entry.organization_id, "kind": entry.kind.value, "key": entry.key,
            "hour": entry.hour, "reason": entry.reason, "author": entry.author, "created_at": now,
        })  # fmt: skip
    session.execute(sa.insert(LedgerPosting.__table__), postings)  # type: ignore[arg-type]  # SQLAlchemy says FromClause
    session.execute(sa.insert(LedgerJournal.__table__), journals)  # type: ignore[arg-type]
    touch(session, [topic for each in organizations for topic in (f"organization:{each}", wallet_of(each))])
    return [str(journal["id"]) for journal in journals]


def hold(session: Session, organization_id: str, *, currency: str) -> None:
    """Until the transaction ends its wallet pays for nothing else."""
    _lock(session, {organization_id}, {AccountKind.USAGE}, currency)


def hold_wallet(session: Session, organization_id: str) -> None:
    """Until the transaction ends nothing is entered into it, and nobody else who holds it looks whether it carries
    what he wants. One that never had any money carries nothing. Before applications are locked, as charges do."""
    query = sa.select(LedgerAccount.id).where(LedgerAccount.id == wallet_of(organization_id))
    session.execute(query.with_for_update())


def _lock(
    session: Session, organizations: Collection[str], counters: Collection[AccountKind], currency: str
) -> dict[str, tuple[int, int]]:
    """Account -> number and balance of its newest posting. Always in one order, so that nobody waits in a circle."""
    wanted = [
        {"id": wallet_of(each), "kind": AccountKind.WALLET.value, "organization_id": each, "currency": currency,
         "seq": 0, "balance_micro": 0}
        for each in sorted(organizations)
    ] + [
        {"id": each.value, "kind": each.value, "organization_id": None, "currency": currency, "seq": 0,
         "balance_micro": 0}
        for each in sorted(counters)
    ]  # fmt: skip
    names = sorted(str(each["id"]) for each in wanted)
    query = sa.select(LedgerAccount.id, LedgerAccount.seq, LedgerAccount.balance_micro)
    query = query.where(LedgerAccount.id.in_(names)).order_by(LedgerAccount.id).with_for_update()
    heads = {name: (seq, balance) for name, seq, balance in session.execute(query)}
    missing = [each for each in wanted if each["id"] not in heads]
    if missing:
        session.execute(upsert(session, LedgerAccount).on_conflict_do_nothing(), missing)
        heads = {name: (seq, balance) for name, seq, balance in session.execute(query)}
    return heads


def balances(session: Session, organizations: Collection[str]) -> Mapping[str, int]:
    """In micro-units; 0 for one that never had any."""
    query = sa.select(LedgerAccount.organization_id, LedgerAccount.balance_micro)
    found = dict(session.execute(query.where(LedgerAccount.id.in_([wallet_of(each) for each in organizations]))).all())
    return {each: found.get(each, 0) for each in organizations}


def balance(session: Session, organization_id: str) -> int:
    return balances(session, [organization_id])[organization_id]


def state_of(session: Session, organization_id: str) -> WalletState:
    """Made when it is not there, and locked."""
    state = session.get(WalletState, organization_id, with_for_update=True)
    if state is None:
        session.execute(upsert(session, WalletState).values(organization_id=organization_id).on_conflict_do_nothing())
        state = session.get_one(WalletState, organization_id, with_for_update=True)
    return state


def check(session: Session) -> list[str]:
    """What is wrong with the books; nothing can be. For tests."""
    sums = dict(
        session.execute(
            sa.select(LedgerPosting.account_id, sa.func.sum(LedgerPosting.amount_micro)).group_by(
                LedgerPosting.account_id
            )
        ).all()
    )
    found = [
        f"{account.id} says {account.balance_micro} and sums to {sums.get(account.id, 0)}"
        for account in session.scalars(sa.select(LedgerAccount))
        if account.balance_micro != sums.get(account.id, 0)
    ]
    open_ = sa.select(LedgerPosting.journal_id).group_by(LedgerPosting.journal_id)
    unbalanced = session.scalars(open_.having(sa.func.sum(LedgerPosting.amount_micro) != 0))
    return found + [f"the journal {journal_id} does not sum to zero" for journal_id in unbalanced]
