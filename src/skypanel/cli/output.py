"""What people see: tables and lines on a terminal, JSON for programs. Values from the platform are never markup."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

# What a terminal does not show but obeys, complete or not, and whatever else is left of it; colours are kept.
_CONTROL = re.compile(
    r"(?P<colour>\x1b\[[0-9;:]{0,60}m)"
    r"|(?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_NOT_IN_JSON = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOURS = {"debug": "2", "warn": "33", "error": "31"}


def print_json(value: Any) -> None:
    print(json_text(value, indent=2))


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
    """In one pass, so that what is taken out leaves nothing that joins to something new."""
    return _CONTROL.sub(lambda match: match["colour"] or "", text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Readable in every script, and nothing in it for a terminal to obey."""
    return _NOT_IN_JSON.sub(
        lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, indent=indent, ensure_ascii=False)
    )


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
