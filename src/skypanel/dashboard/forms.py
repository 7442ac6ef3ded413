"""Forms that may be refused: what was typed is shown again, with each problem at its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from skypanel.db import Session
from skypanel.errors import FieldError, Invalid, SkyPanelError
from skypanel.kit.money import from_decimal_string

T = TypeVar("T")


@dataclass(frozen=True)
class Refused:
    """Why a form was refused: an HTTP status, a sentence for the page, and sentences by field."""

    status: int = 200
    problem: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str) -> str:
        return self.fields.get(name, "")


def attempt(session: Session, verb: Callable[[], T]) -> tuple[T | None, Refused]:
    """What the verb returned, or why it refused; a refused verb leaves nothing behind in the transaction."""
    try:
        with session.begin_nested():
            return verb(), Refused()
    except SkyPanelError as error:
        at_fields = {problem.field: problem.message for problem in error.errors}
        return None, Refused(error.status, error.detail, at_fields)


def amount_of(text: str, *, field: str) -> int:
    """`12.50` or `-3`, in micro-units. Raises Invalid."""
    try:
        return from_decimal_string(text.strip().replace(",", ".", 1))
    except ValueError as error:
        problem = "Write an amount such as 25 or 12.50, with up to six decimals."
        raise Invalid(problem, errors=[FieldError(field, problem)]) from error
