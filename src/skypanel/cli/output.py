"""What people see: tables and lines on a terminal, JSON for programs. Values from the platform are never markup."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

# Everything that moves a terminal's cursor or retitles it; colours stay.
_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b\[[0-9;?]*[A-LN-Za-ln-z]|\x1b[^\[\]]|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]"
)
_COLOURS = {"debug": "2", "warn": "33", "error": "31"}


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    if not rows:
        print(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    # Lines of a pipe are never broken, so that `grep` and `cut` find whole rows.
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, highlight=False).print(table)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        if value not in (None, ""):
            print(f"{name.ljust(width)}  {cell(value)}")


def cell(value: object) -> str:
    """One value as people read it; control characters gone."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return harmless(str(value)).replace("\n", " ")


def harmless(text: str) -> str:
    return _CONTROL.sub("", text)


def moment(text: str | None) -> str:
    """`2026-01-02T03:04:05.678Z` -> `2026-01-02 03:04:05`."""
    return text[:19].replace("T", " ") if text else "-"


def megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1_000_000:.1f} MB"


def log_line(line: dict[str, Any], *, colour: bool) -> str:
    """`03:04:05 app[web.1] message`."""
    message = harmless(str(line.get("message", ""))).rstrip("\n")
    prefix = f"{str(line.get('ts', ''))[11:19]} {cell(line.get('source'))}[{cell(line.get('replica'))}]"
    code = _COLOURS.get(str(line.get("level")))
    if not colour:
        return f"{prefix} {message}"
    body = f"\x1b[{code}m{message}" if code else message
    return f"\x1b[36m{prefix}\x1b[0m {body}\x1b[0m"
