"""The ledger, what each hour of each application used, how far charging has come, and
payments by card. Ledger and usage only grow."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from skypanel.db import Base
from skypanel.db.guards import append_only, attach, double_entry
from skypanel.kit.ids import new_id


class AccountKind(StrEnum):
    WALLET = "wallet"  # what an organization has
    USAGE = "usage"  # what the platform earned
    GRANTS = "grants"  # what its operators gave
    PAYMENTS = "payments"  # what cards paid


class JournalKind(StrEnum):
    USAGE = "usage"
    CORRECTION = "correction"
    CREDIT = "credit"
    ADJUSTMENT = "adjustment"
    REFUND = "refund"
    PAYMENT = "payment"


COUNTER = {
    JournalKind.USAGE: AccountKind.USAGE,
    JournalKind.CORRECTION: AccountKind.USAGE,
    JournalKind.CREDIT: AccountKind.GRANTS,
    JournalKind.ADJUSTMENT: AccountKind.GRANTS,
    JournalKind.REFUND: AccountKind.USAGE,
    JournalKind.PAYMENT: AccountKind.PAYMENTS,
}


class LedgerAccount(Base):
    """An organization's wallet, or one of the platform's own. Number and balance are those of its newest posting."""

    __tablename__ = "ledger_accounts"

    id: Mapped[str] = mapped_column(String(60), primary_key=True)  # "wallet:<organization>", or the kind
    kind: Mapped[str] = mapped_column(String(20))
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"), unique=True)
    currency: Mapped[str] = mapped_column(String(3))
    seq: Mapped[int] = mapped_column(BigInteger, default=0)
    balance_micro: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (CheckConstraint("(kind = 'wallet') = (organization_id IS NOT NULL)", name="owner"),)


class LedgerJournal(Base):
    """One event of money; its postings sum to zero. `key`: what makes it happen once."""

    __tablename__ = "ledger_journals"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(400), unique=True)
    hour: Mapped[datetime | None]  # that was charged or corrected
    reason: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_ledger_journals_organization", "organization_id", "id"),)


class LedgerPosting(Base):
    __tablename__ = "ledger_postings"

    account_id: Mapped[str] = mapped_column(ForeignKey("ledger_accounts.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    journal_id: Mapped[str] = mapped_column(
        ForeignKey("ledger_journals.id", deferrable=True, initially="DEFERRED"), index=True
    )
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    balance_micro: Mapped[int] = mapped_column(BigInteger)  # of the account, after it

    __table_args__ = (
        UniqueConstraint("journal_id", "account_id"),
        CheckConstraint("amount_micro <> 0", name="amount"),
    )


class UsageRecord(Base):
    """An application's hour under one plan, as it was charged. Revision 0 is the charge; what is found out later is a
    further one, with differences that are added."""

    __tablename__ = "usage_records"

    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    plan_slug: Mapped[str] = mapped_column(String(40), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    replica_seconds: Mapped[int] = mapped_column(BigInteger)
    replica_micro: Mapped[int] = mapped_column(BigInteger)
    byte_seconds: Mapped[int] = mapped_column(BigInteger)
    storage_micro: Mapped[int] = mapped_column(BigInteger)
    log_bytes: Mapped[int] = mapped_column(BigInteger)
    log_micro: Mapped[int] = mapped_column(BigInteger)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    journal_id: Mapped[str | None] = mapped_column(ForeignKey("ledger_journals.id"))  # None: free, or nothing to pay

    __table_args__ = (
        CheckConstraint("amount_micro = replica_micro + storage_micro + log_micro", name="sum"),
        Index("ix_usage_records_organization", "organization_id", "hour", "app_id"),
    )


class LogVolume(Base):
    """Bytes that an application logged in an hour, by when they were stored."""

    __tablename__ = "log_volumes"

    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class BillingHour(Base):
    """How far the charging of an hour has come: applications are taken in the order of (organization, id)."""

    __tablename__ = "billing_hours"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    done_organization: Mapped[str] = mapped_column(String(36), default="")
    done_app: Mapped[str] = mapped_column(String(36), default="")
    finished_at: Mapped[datetime | None]


class WalletState(Base):
    """What is remembered of a wallet besides its money."""

    __tablename__ = "wallet_states"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    warned_hours: Mapped[int | None]  # the lowest mark (72, 24) that was warned of and still holds
    suspended_for: Mapped[str | None] = mapped_column(String(20))  # "funds", "cap" or "admin"; None: it is active
    suspended_at: Mapped[datetime | None]
    cap_micro: Mapped[int | None] = mapped_column(BigInteger)  # most it may spend in a month of UTC

    __table_args__ = (CheckConstraint("cap_micro > 0", name="cap"),)

    def topics(self) -> tuple[str, ...]:
        return (f"organization:{self.organization_id}", f"wallet:{self.organization_id}")


class TopupState(StrEnum):
    NEW = "new"  # the provider is being asked for a page
    OPEN = "open"  # there is a page to pay on
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


class Topup(Base):
    """Money that somebody wants to pay into a wallet by card. Its id is the provider's reference, too."""

    __tablename__ = "topups"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    request_key: Mapped[str | None] = mapped_column(String(64), unique=True)  # of whoever asks again (Idempotency-Key)
    session_id: Mapped[str | None] = mapped_column(String(255), unique=True)  # the provider's
    payment_id: Mapped[str | None] = mapped_column(String(255), unique=True)  # the provider's, once somebody has paid
    url: Mapped[str | None] = mapped_column(Text)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(20), default=TopupState.NEW)
    refunded_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    created_by: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime]
    ask_at: Mapped[datetime | None]  # when the provider is asked what became of it; None: it is settled
    settled_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("amount_micro > 0", name="amount"),
        Index("ix_topups_organization", "organization_id", "id"),
        Index("ix_topups_ask", "ask_at"),
    )

    def topics(self) -> tuple[str, ...]:
        return (f"organization:{self.organization_id}",)


class Outcome(StrEnum):
    """What became of a message of the payment provider."""

    ENTERED = "entered"  # money was entered
    NOTED = "noted"  # a state changed, or had been known
    IGNORED = "ignored"  # none of ours
    FLAGGED = "flagged"  # does not fit what we know: somebody has to look


class PaymentEvent(Base):
    """A message of the payment provider, as it came; kept before it is answered, handled afterwards."""

    __tablename__ = "payment_events"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    kind: Mapped[str] = mapped_column(String(120))
    payment_id: Mapped[str | None] = mapped_column(String(255), index=True)
    payload: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str | None] = mapped_column(String(20))
    note: Mapped[str | None] = mapped_column(Text)


TRIGGERS = (
    *double_entry(accounts="ledger_accounts", journals="ledger_journals", postings="ledger_postings"),
    *append_only("usage_records"),
)
attach(TRIGGERS, Base.metadata)
