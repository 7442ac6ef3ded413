"""Cursor paging: a page is its items and the opaque cursor of the next one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

T = TypeVar("T")
MAX_LIMIT = 200


@dataclass(frozen=True)
class Page(Generic[T]):
    items: Sequence[T]
    next_cursor: str | None


def encode_cursor(*values: str | int | float) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def decode_cursor(cursor: str, *, size: int) -> tuple[str | int | float, ...]:
    """Raises ValueError when the cursor is none of ours."""
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise ValueError("the cursor is none of ours") from error
    if not isinstance(values, list) or len(values) != size or not all(isinstance(v, (str, int, float)) for v in values):
        raise ValueError("the cursor is none of ours")
    return tuple(values)


def whole(value: str | int | float) -> int:
    """A number out of a cursor that a database can hold. Raises ValueError."""
    if not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("the cursor is none of ours")
    return value
