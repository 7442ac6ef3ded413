"""`.env` files in, and sanitized ones out. Parsed by python-dotenv's grammar; nothing is interpolated or executed."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from dotenv.parser import parse_stream

from skypanel.apps.variables import MAX_TOTAL_BYTES, name_problem, shown, value_problem
from skypanel.errors import Invalid
from skypanel.kit.slug import ENV_NAME

MAX_FILE_BYTES = 2 * MAX_TOTAL_BYTES
MAX_BLANKS = 200
MASK = "***"
_LONG_BLANKS = re.compile(rf"[^\S\n]{{{MAX_BLANKS + 1}}}")


@dataclass(frozen=True)
class Ignored:
    """A line that was not taken: its number, its name where it has one, and why. Never its content."""

    line: int
    name: str | None
    reason: str


@dataclass(frozen=True)
class Parsed:
    variables: dict[str, str] = field(repr=False)
    ignored: tuple[Ignored, ...]


def parse(text: str) -> Parsed:
    """Quotes, `export`, comments and values over several lines; the last of several equal names wins.

    `${NAME}` stays as it is written. Line ends become LF, as python-dotenv reads files. A line that is no assignment,
    a reserved name (`PORT` is in many such files), the mask of an export and a value that cannot be stored are ignored
    and reported. Raises Invalid (`env_too_large`, `env_file_invalid`) for a file that cannot be read as one.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_FILE_BYTES:
        raise Invalid(f"The file has more than {MAX_FILE_BYTES // 1024} KB.", code="env_too_large")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    _refuse_long_blanks(text)
    variables: dict[str, str] = {}
    ignored: list[Ignored] = []
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line + _blank_lines_before(binding.original.string)
        if binding.error:
            _refuse_open_quote(binding.original.string, line)
            ignored.append(Ignored(line, None, "This is no assignment of the form NAME=value."))
        elif binding.key is not None:
            problem = _problem(binding.key, binding.value)
            if problem is None and binding.value is not None:
                variables[binding.key] = binding.value
            else:
                # A line without `=`, or with an odd name, may be a piece of a secret: its text is not repeated.
                named = binding.value is not None and ENV_NAME.fullmatch(binding.key) is not None
                ignored.append(Ignored(line, shown(binding.key) if named else None, problem or ""))
    return Parsed(variables, tuple(ignored))


def _problem(name: str, value: str | None) -> str | None:
    if value is None:
        return "There is no = after the name."
    if value == MASK:
        return "This is the mask of an export, not a value."
    return name_problem(name) or value_problem(value)


def _blank_lines_before(original: str) -> int:
    """The parser counts a binding from the blank lines above it; people count from its own line."""
    return original[: len(original) - len(original.lstrip())].count("\n")


def _refuse_open_quote(original: str, line: int) -> None:
    # What follows an open quote would be read as names, and names are shown: the pieces of a key must not become some.
    _, _, value = original.partition("=")
    if value.lstrip()[:1] in ("'", '"'):
        raise Invalid(
            f"Nothing was changed: the quote that opens on line {line} is never closed, or something follows it.",
            code="env_file_invalid",
        )


def _refuse_long_blanks(text: str) -> None:
    # The parser's search for a trailing comment takes the square of the longest run of blanks.
    found = _LONG_BLANKS.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise Invalid(
            f"Nothing was changed: line {line} has more than {MAX_BLANKS} blanks in a row.", code="env_file_invalid"
        )


def export_text(names: Sequence[str]) -> str:
    """A file that shows which variables exist and none of their values; importing it changes nothing."""
    head = "# Names only: the platform never gives a value out again.\n"
    return head + "".join(f"{name}={MASK}\n" for name in names)
