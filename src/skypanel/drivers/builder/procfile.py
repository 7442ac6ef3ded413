"""The Procfile, read as Heroku reads it: tolerant of what real ones hold, strict about what could not be started."""

from __future__ import annotations

import re

from skypanel.drivers.builder.port import BuildFailed

_LINE = re.compile(r"([A-Za-z0-9_-]+):(.*)")  # of a stripped line; nothing in it is tried twice
MAX_TYPES = 50
MAX_COMMAND = 8_000


def parse(text: str) -> dict[str, str]:
    """Process type -> command, in the file's order. Blank lines, comments (also at the end of a line, outside quotes),
    CRLF, a byte order mark and lines that are no `type: command` are skipped. A type named twice: the last one counts.
    Raises BuildFailed `procfile_invalid` when a type has no command, its name is too long, or nothing is left."""
    processes: dict[str, str] = {}
    meaningful = False
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        meaningful = True
        match = _LINE.fullmatch(stripped)
        if match is None:
            continue
        name, command = match.group(1), _without_comment(match.group(2).strip())
        if not command:
            raise BuildFailed(
                "procfile_invalid", f"The Procfile gives no command for {name!r}: write `{name}: command`."
            )
        if len(name) > 40 or len(command) > MAX_COMMAND:
            raise BuildFailed("procfile_invalid", f"The Procfile's entry {name[:40]!r} is too long: shorten it.")
        processes.pop(name, None)
        processes[name] = command
    if meaningful and not processes:
        raise BuildFailed("procfile_invalid", "The Procfile has no line of the form `web: command`: correct it.")
    if len(processes) > MAX_TYPES:
        raise BuildFailed("procfile_invalid", f"The Procfile has more than {MAX_TYPES} process types: remove some.")
    return processes


def _without_comment(command: str) -> str:
    """Cuts ` # …` off, where the `#` stands outside of quotes: what a shell would ignore as well."""
    quote = ""
    previous = " "
    for index, character in enumerate(command):
        if quote:
            if character == quote and previous != "\\":
                quote = ""
        elif character in "'\"" and previous != "\\":
            quote = character
        elif character == "#" and previous.isspace():
            return command[:index].rstrip()
        previous = character
    return command
