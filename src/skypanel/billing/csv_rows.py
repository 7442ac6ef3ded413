"""Usage as comma-separated values (RFC 4180), for spreadsheets and accounting systems; docs/reference/usage-csv.md."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from skypanel.billing.usage import Exported
from skypanel.kit.clock import rfc3339
from skypanel.kit.money import to_decimal_string

# Programs hold these names: further ones come behind the last.
COLUMNS = (
    "hour", "organization_id", "organization", "organization_name", "app_id", "app", "app_name", "plan", "revision",
    "replica_seconds", "replica_cost", "storage_byte_seconds", "storage_cost", "log_bytes", "log_cost", "cost",
    "currency", "journal_id",
)  # fmt: skip
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the last four: their full-width forms, which count in some places
WHITE = ("\t", "\r", "\n")


def header() -> str:
    return _lines([COLUMNS])


def csv_rows(rows: Iterable[Exported], *, currency: str) -> str:
    return _lines(_values(row, currency) for row in rows)


def _values(row: Exported, currency: str) -> tuple[object, ...]:
    record = row.record
    return (
        rfc3339(record.hour, timespec="seconds"), record.organization_id, harmless(row.organization),
        harmless(row.organization_name), record.app_id, harmless(row.app), harmless(row.app_name),
        harmless(record.plan_slug), record.revision, record.replica_seconds, to_decimal_string(record.replica_micro),
        record.byte_seconds, to_decimal_string(record.storage_micro), record.log_bytes,
        to_decimal_string(record.log_micro), to_decimal_string(record.amount_micro), currency, record.journal_id or "",
    )  # fmt: skip


def harmless(text: str) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV Injection). Numbers
    are ours and stay numbers."""
    return f"'{text}" if text.startswith(WHITE) or text.lstrip().startswith(FORMULA) else text


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
