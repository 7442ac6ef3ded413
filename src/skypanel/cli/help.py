"""`skypanel --help`: commands below headings, each with its whole sentence.

Typer's own plain help knows no headings and cuts sentences short; its coloured one takes longer to load than everything
else together.
"""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperGroup

OTHERS = "Commands"


class Headed(TyperGroup):
    # Context and formatter are of classes that Typer keeps private.
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is None or command.hidden:
                continue
            panel = getattr(command, "rich_help_panel", None)
            rows = panels.setdefault(panel if isinstance(panel, str) else OTHERS, [])
            rows.append((name, first_sentence(command.help or "")))
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


def first_sentence(text: str) -> str:
    """Of a help text: its first paragraph up to the first full stop."""
    paragraph = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")
