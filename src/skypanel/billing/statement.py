"""What a wallet did: its entries, and a month of them on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from skypanel.billing.forecast import month_of
from skypanel.billing.ledger import wallet_of
from skypanel.billing.models import LedgerJournal, LedgerPosting
from skypanel.billing.usage import Usage, UsageFilter, usage_by_app
from skypanel.db import Session
from skypanel.kit.paging import Page, decode_cursor, encode_cursor, whole


@dataclass(frozen=True)
class Transaction:
    journal: LedgerJournal
    seq: int
    amount_micro: int
    balance_micro: int


@dataclass(frozen=True)
class Statement:
    """A month of UTC. `opening + sum of kinds = closing`. `usage`: what its hours cost, whenever they were charged."""

    month: datetime
    end: datetime
    opening_micro: int
    closing_micro: int
    kinds: dict[str, int]
    usage: Sequence[Usage]

    @property
    def last_day(self) -> datetime:
        return self.end - timedelta(days=1)


def transactions(session: Session, organization_id: str, *, limit: int, cursor: str | None) -> Page[Transaction]:
    """Newest first. Raises ValueError for a cursor that is none of ours."""
    query = _entries(organization_id).order_by(LedgerPosting.seq.desc()).limit(limit + 1)
    if cursor is not None:
        (last,) = decode_cursor(cursor, size=1)
        query = query.where(LedgerPosting.seq < whole(last))
    found = [Transaction(*row) for row in session.execute(query)]
    return Page(found[:limit], encode_cursor(found[limit - 1].seq) if len(found) > limit else None)


def transaction(session: Session, organization_id: str, journal_id: str) -> Transaction:
    row = session.execute(_entries(organization_id).where(LedgerJournal.id == journal_id)).one()
    return Transaction(*row)


def _entries(organization_id: str) -> sa.Select[LedgerJournal, int, int, int]:
    return (
        sa.select(LedgerJournal, LedgerPosting.seq, LedgerPosting.amount_micro, LedgerPosting.balance_micro)
        .join(LedgerPosting, LedgerPosting.journal_id == LedgerJournal.id)
        .where(LedgerPosting.account_id == wallet_of(organization_id))
    )


def statement(session: Session, organization_id: str, month: datetime) -> Statement:
    start = month_of(month)
    end = month_of(start + timedelta(days=32))
    kinds = {
        kind: int(amount)
        for kind, amount in session.execute(
            sa.select(LedgerJournal.kind, sa.func.sum(LedgerPosting.amount_micro))
            .join(LedgerPosting, LedgerPosting.journal_id == LedgerJournal.id)
            .where(
                LedgerPosting.account_id == wallet_of(organization_id), LedgerJournal.created_at >= start,
                LedgerJournal.created_at < end,
            )
            .group_by(LedgerJournal.kind)
            .order_by(LedgerJournal.kind)
        )
    }  # fmt: skip
    before = (
        sa.select(sa.func.coalesce(sa.func.sum(LedgerPosting.amount_micro), 0))
        .join(LedgerJournal, LedgerPosting.journal_id == LedgerJournal.id)
        .where(LedgerPosting.account_id == wallet_of(organization_id), LedgerJournal.created_at < start)
    )
    opening = int(session.scalar(before) or 0)
    usage = usage_by_app(session, organization_id, UsageFilter(since=start, until=end))
    return Statement(start, end, opening, opening + sum(kinds.values()), kinds, usage)
