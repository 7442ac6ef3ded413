"""Bases of request and response bodies, and the types that go over the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator

from skypanel.kit.clock import rfc3339
from skypanel.kit.paging import Page

T = TypeVar("T")
S = TypeVar("S")

Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-02T03:04:05.678901Z"]}),
]
"""RFC 3339 in UTC."""

Amount = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{2,6}$", examples=["0.0069"])]
"""Money: a decimal string (`kit.money.to_decimal_string`); the currency stands beside it."""


class RequestBody(BaseModel):
    """A body we read: unknown fields are refused, so that a misspelt one is not silently ignored; and so are NUL
    characters, which no name, URL or variable may hold and PostgreSQL cannot keep."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_nul(cls, content: object) -> object:
        if _holds_nul(content):
            raise ValueError("NUL characters are not allowed")
        return content


class ResponseBody(BaseModel):
    """A body we write."""

    model_config = ConfigDict(from_attributes=True)


def _holds_nul(content: object) -> bool:
    if isinstance(content, str):
        return "\x00" in content
    if isinstance(content, dict):
        return any(_holds_nul(part) for pair in content.items() for part in pair)
    return isinstance(content, list) and any(_holds_nul(part) for part in content)


class PageBody(ResponseBody, Generic[T]):
    """A page of a list; `next_cursor` is null at its end."""

    items: list[T]
    next_cursor: str | None = None


def page_body(page: Page[S], convert: Callable[[S], T]) -> PageBody[T]:
    return PageBody(items=[convert(item) for item in page.items], next_cursor=page.next_cursor)
