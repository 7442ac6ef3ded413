"""Bodies of wallets, their transactions and statements, and of prices before an action."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from skypanel.api.usage_bodies import Spanned, UsageItem, usage_items
from skypanel.billing.models import LedgerJournal
from skypanel.billing.preview import Preview
from skypanel.billing.statement import Statement, Transaction
from skypanel.billing.wallet import Wallet, told
from skypanel.errors import FieldError, Invalid
from skypanel.http.schema import Amount, RequestBody, ResponseBody, Timestamp
from skypanel.kit.money import from_decimal_string, to_decimal_string

Kind = Literal["usage", "correction", "credit", "adjustment", "refund", "payment"]
Given = Annotated[str, Field(pattern=r"^-?[0-9]{1,10}(\.[0-9]{1,6})?$", examples=["25.00"])]


class WalletBody(ResponseBody):
    balance: Amount
    currency: str = Field(examples=["USD"])
    state: Literal["ok", "low", "empty", "suspended", "free"] = Field(
        description="low: less than 72 hours are left; empty: what runs is suspended with the next charge; free: this "
        "organization pays nothing"
    )
    billed: bool
    hours_left: int | None = Field(description="Whole hours at today's use; null when nothing is used or paid for")
    burn_per_hour: Amount = Field(description="What everything that runs and is kept costs an hour")
    needed_to_resume: Amount | None = Field(description="An hour of all that is suspended; null while active")
    spent_this_month: Amount
    cap: Amount | None = Field(description="The most it may spend in a month of UTC; null: no cap")
    suspended_for: Literal["funds", "cap", "admin"] | None
    suspended_reason: str | None = Field(description="A sentence for people")
    suspended_at: Timestamp | None


class OneWallet(ResponseBody):
    wallet: WalletBody


class CapRequest(RequestBody):
    cap: Given | None = Field(description="The most it may spend in a month of UTC; null: no cap")


class TransactionBody(ResponseBody):
    id: str = Field(description="Of the journal")
    kind: Kind
    amount: Amount = Field(description="What the wallet got; negative: what it paid")
    balance: Amount = Field(description="After it")
    currency: str
    reason: str
    author: str = Field(description="E-mail address, or `platform`")
    hour: Timestamp | None = Field(description="The hour that was charged or corrected")
    created_at: Timestamp


class OneTransaction(ResponseBody):
    entry: TransactionBody
    wallet: WalletBody


class KindSum(ResponseBody):
    kind: Kind
    amount: Amount


class StatementBody(Spanned):
    """`opening` + the sums of `kinds` = `closing`; `usage`: what the month's hours cost, whenever they were charged."""

    month: str = Field(examples=["2026-11"])
    currency: str
    opening: Amount
    closing: Amount
    kinds: list[KindSum]
    usage: list[UsageItem]
    usage_total: Amount


class PriceBody(ResponseBody):
    """What it would cost, by the code that charges. Nothing is changed."""

    plan: str
    process_type: str = Field(examples=["web"])
    current_replicas: int = Field(description="Of the process type")
    replicas: int = Field(description="Of the process type, as asked")
    max_replicas: int = Field(description="What the plan allows each process type")
    total_replicas: int = Field(description="Of all process types, as asked")
    cost_per_hour_before: Amount = Field(description="Of the application as it is; zero while stopped")
    cost_per_hour: Amount = Field(description="Of the application as asked")
    cost_per_month: Amount = Field(description="730 hours")
    organization_cost_per_hour: Amount = Field(description="Of everything the organization has, as asked")
    balance: Amount
    balance_after_hour: Amount = Field(description="After an hour of everything")
    currency: str
    billed: bool
    affordable: bool = Field(description="The wallet carries an hour of it, or nothing becomes dearer")
    fits_plan: bool


def amount_of(field: str, text: str) -> int:
    """Raises Invalid; the pattern of `Given` leaves nothing to refuse."""
    try:
        return from_decimal_string(text)
    except ValueError as error:
        raise Invalid(f"{field}: {error}.", errors=[FieldError(field, "is no amount")]) from error


def wallet_body(wallet: Wallet, currency: str) -> WalletBody:
    return WalletBody.model_validate(
        {
            "balance": to_decimal_string(wallet.balance), "currency": currency, "state": wallet.state.value,
            "billed": wallet.billed, "hours_left": wallet.hours_left, "burn_per_hour": to_decimal_string(wallet.burn),
            "needed_to_resume": _optional(wallet.to_resume),
            "spent_this_month": to_decimal_string(wallet.spent_this_month), "cap": _optional(wallet.cap),
            "suspended_for": wallet.suspended_for, "suspended_reason": told(wallet.suspended_for),
            "suspended_at": wallet.suspended_at,
        }
    )  # fmt: skip


def transaction_body(transaction: Transaction, currency: str) -> TransactionBody:
    journal: LedgerJournal = transaction.journal
    return TransactionBody.model_validate(
        {
            "id": journal.id, "kind": journal.kind, "amount": to_decimal_string(transaction.amount_micro),
            "balance": to_decimal_string(transaction.balance_micro), "currency": currency, "reason": journal.reason,
            "author": journal.author, "hour": journal.hour, "created_at": journal.created_at,
        }
    )  # fmt: skip


def statement_body(found: Statement, currency: str) -> StatementBody:
    kinds = [{"kind": kind, "amount": to_decimal_string(amount)} for kind, amount in found.kinds.items()]
    return StatementBody.model_validate(
        {
            "month": f"{found.month:%Y-%m}", "since": found.month, "to": found.end, "currency": currency,
            "opening": to_decimal_string(found.opening_micro), "closing": to_decimal_string(found.closing_micro),
            "kinds": kinds, "usage": usage_items(found.usage, currency),
            "usage_total": to_decimal_string(sum(each.amount_micro for each in found.usage)),
        }
    )  # fmt: skip


def price_body(
    preview: Preview, *, plan: str, process_type: str, current: int, replicas: int, fits: bool, currency: str
) -> PriceBody:
    return PriceBody(
        plan=plan, process_type=process_type, current_replicas=current, replicas=replicas,
        max_replicas=preview.max_replicas, total_replicas=preview.replicas,
        cost_per_hour_before=to_decimal_string(preview.before_per_hour),
        cost_per_hour=to_decimal_string(preview.per_hour), cost_per_month=to_decimal_string(preview.per_month),
        organization_cost_per_hour=to_decimal_string(preview.organization_per_hour),
        balance=to_decimal_string(preview.balance), balance_after_hour=to_decimal_string(preview.balance_after),
        currency=currency, billed=preview.billed, affordable=preview.affordable, fits_plan=fits,
    )  # fmt: skip


def _optional(micro: int | None) -> str | None:
    return None if micro is None else to_decimal_string(micro)
