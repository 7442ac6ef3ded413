"""What a variable may be called and hold. Pure; no message ever contains a value."""

from __future__ import annotations

from collections.abc import Mapping

from skypanel.errors import FieldError, Invalid
from skypanel.kit.slug import ENV_NAME

MAX_NAME = 255
MAX_VALUE_BYTES = 64 * 1024
MAX_TOTAL_BYTES = 256 * 1024
MAX_VARIABLES = 1000

RESERVED = frozenset({"PORT", "DYNO", "PS", "SOURCE_VERSION"})
RESERVED_PREFIX = "SKYPANEL_"
RESERVED_TEXT = "PORT, DYNO, PS, SOURCE_VERSION and every name that begins with SKYPANEL_"


def is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith(RESERVED_PREFIX)


def shown(name: str) -> str:
    """A name as errors show it: short, and without what follows an `=` (a value typed into the name)."""
    plain = name.partition("=")[0]
    return plain if len(plain) <= 60 else plain[:57] + "..."


def name_problem(name: str) -> str | None:
    """Why this is no name for a variable, in one sentence; None when it is one."""
    if len(name) > MAX_NAME:
        return f"A name has at most {MAX_NAME} characters."
    if ENV_NAME.fullmatch(name) is None:
        return "A name consists of letters, digits and underscores and does not begin with a digit."
    if is_reserved(name):
        return f"The platform sets this itself. Reserved are {RESERVED_TEXT}."
    return None


def value_problem(value: str) -> str | None:
    """Why no process could be given this value; None when it can."""
    if "\0" in value:
        return "A value cannot hold a NUL character."
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "The value is not valid Unicode text."
    if size > MAX_VALUE_BYTES:
        return f"A value has at most {MAX_VALUE_BYTES // 1024} KB; this one has {size} bytes."
    return None


def check_changes(changes: Mapping[str, str | None]) -> None:
    """`None` removes a variable; a reserved or malformed name may not even be removed. Raises Invalid with all."""
    errors = []
    for name, value in changes.items():
        problem = name_problem(name) or (value_problem(value) if value is not None else None)
        if problem is not None:
            errors.append(FieldError(f"vars.{shown(name)}", problem))
    if errors:
        raise Invalid("Nothing was changed: some variables are not possible.", code="env_invalid", errors=errors)


def check_total(variables: Mapping[str, str]) -> None:
    """Raises Invalid when names and values together are more than a process can be given."""
    if len(variables) > MAX_VARIABLES:
        message = f"An application has at most {MAX_VARIABLES} variables; these would be {len(variables)}."
        raise Invalid(message, code="env_too_large")
    size = sum(len(name) + len(value.encode()) + 2 for name, value in variables.items())
    if size > MAX_TOTAL_BYTES:
        raise Invalid(
            f"All variables together have at most {MAX_TOTAL_BYTES // 1024} KB; these would have {size} bytes. "
            "Keep large content in a file of the repository or in an object store.",
            code="env_too_large",
        )
