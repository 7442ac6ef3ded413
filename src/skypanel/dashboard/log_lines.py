"""Log lines as markup: escaped, colours (ECMA-48 SGR) as classes, every other control sequence left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from markupsafe import escape

from skypanel.drivers.logstore.port import Line

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)(?P<sgr>[0-9;:]*)m"  # colours and weights
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # every other CSI
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # the rest
)
_LEVEL_WORDS = {"warn": "warning: ", "error": "error: "}


def lines_html(lines: Sequence[Line], *, around: str = "#l-") -> str:
    """List items. `around`: the beginning of each line's own address, which its cursor completes."""
    return "".join(line_html(line, around=around) for line in lines)


def line_html(line: Line, *, around: str = "#l-") -> str:
    entry, cursor = line.entry, escape(line.cursor)
    moment = datetime.fromtimestamp(entry.ts_ns // 1_000_000_000, UTC)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{entry.ts_ns // 1_000_000 % 1000:03d}Z"
    word = _LEVEL_WORDS.get(entry.level, "")
    hidden = f'<span class="hidden">{word}</span>' if word else ""
    return (
        f'<li class="line {escape(entry.level)}" id="l-{cursor}" data-cursor="{cursor}">'
        f'<a href="{escape(around)}{cursor}"><time datetime="{stamp}" data-clock>{stamp[11:23]}</time></a> '
        f'<span class="who">{escape(entry.replica or entry.source)}</span> {hidden}'
        f'<span class="text">{message_html(entry.message)}</span></li>\n'
    )


def message_html(message: str) -> str:
    if _CONTROL.search(message) is None:
        return str(escape(message))
    parts = []
    for text, classes in _styled(message):
        content = str(escape(_CONTROL.sub("", text)))
        if content:
            parts.append(f'<span class="{classes}">{content}</span>' if classes else content)
    return "".join(parts)


def _styled(message: str) -> Iterator[tuple[str, str]]:
    """Pieces of text with the classes they are shown in."""
    colour, weights, begin = "", set[str](), 0
    for found in _SEQUENCE.finditer(message):
        yield message[begin : found.start()], " ".join(filter(None, [colour, *sorted(weights)]))
        begin = found.end()
        if found["sgr"] is not None:
            colour = _apply(found["sgr"], colour, weights)
    yield message[begin:], " ".join(filter(None, [colour, *sorted(weights)]))


def _apply(parameters: str, colour: str, weights: set[str]) -> str:
    """The colour after an SGR sequence; `weights` is changed in place."""
    codes = [int(code[:4]) if code else 0 for code in re.split("[;:]", parameters)]
    place = 0
    while place < len(codes):
        code = codes[place]
        if code == 0:
            colour = ""
            weights.clear()
        elif code in (1, 2, 4):
            weights.add({1: "bold", 2: "faint", 4: "underlined"}[code])
        elif code in (22, 24):
            weights.difference_update(("bold", "faint") if code == 22 else ("underlined",))
        elif 30 <= code <= 37 or 90 <= code <= 97:
            colour = f"ansi-{code % 10}"
        elif code == 39:
            colour = ""
        elif code in (38, 48):  # 256 colours, of which the first 16 are the usual ones; true colours are not shown
            if codes[place + 1 : place + 2] == [5]:
                if code == 38 and place + 2 < len(codes):
                    number = codes[place + 2]
                    colour = f"ansi-{number % 8}" if number < 16 else ""
                place += 2
            else:
                place += 4
        place += 1
    return colour
