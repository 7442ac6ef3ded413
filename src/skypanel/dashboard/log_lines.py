"""Log lines as markup: escaped, their colours (ANSI SGR) as classes, every other control sequence left out."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from skypanel.drivers.logstore.port import Line


def lines_html(lines: Sequence[Line]) -> str:
    return "".join(line_html(line) for line in lines)


def line_html(line: Line) -> str:
    entry = line.entry
    return str(
        Markup('<li class="line {}" data-cursor="{}"><span class="who">{}</span> {}</li>\n').format(
            entry.level, line.cursor, entry.replica or entry.source, escape(entry.message)
        )
    )
