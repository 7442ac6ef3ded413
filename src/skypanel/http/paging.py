"""`?limit=&cursor=` of every list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from skypanel.errors import FieldError, Invalid
from skypanel.kit.paging import MAX_LIMIT

DEFAULT_LIMIT = 50


@dataclass(frozen=True)
class Paging:
    limit: int
    cursor: str | None


async def paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items per page")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> Paging:
    return Paging(limit, cursor)


PagingDep = Annotated[Paging, Depends(paging)]


@contextmanager
def cursor_checked() -> Iterator[None]:
    """Around a list query: its ValueError for a cursor that is none of ours becomes a 422."""
    try:
        yield
    except ValueError as error:
        raise Invalid(
            "The cursor is none of ours; use `next_cursor` of the page before, unchanged.",
            code="cursor_invalid",
            errors=[FieldError("cursor", "is none of ours")],
        ) from error
