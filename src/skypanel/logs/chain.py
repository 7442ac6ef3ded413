"""Several streams read as one: a rollback shows the build log it inherits, then its own. Cursors carry the stream's
place in the chain before its own cursor: `1.00000000001767225600`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from skypanel.deployments.models import Deployment
from skypanel.drivers.logstore.port import Line, LogStore, Query
from skypanel.logs.follow import follow

BEGINNING = "0" * 20
PAGE = 500


def streams_of(deployment: Deployment) -> list[str]:
    """A rollback shows the build log it inherits, then its own."""
    inherited = deployment.build_log_of
    own = f"build:{deployment.id}"
    return [f"build:{inherited}", own] if inherited and inherited != deployment.id else [own]


class Chain:
    """Read forwards, from the first line on."""

    def __init__(self, store: LogStore, streams: Sequence[str]) -> None:
        self._store = store
        self._streams = streams

    def page(self, query: Query) -> tuple[list[Line], str | None]:
        """Lines after `query.after`, oldest first, and the cursor to go on after; None when there are no more.
        Raises ValueError for a cursor that is none of ours."""
        index, after = self._parse(query.after)
        lines: list[Line] = []
        while index < len(self._streams) and len(lines) <= query.limit:
            wanted = replace(query, after=after, limit=query.limit + 1 - len(lines))
            lines += self._named(index, self._store.query(self._streams[index], wanted).lines)
            index, after = index + 1, BEGINNING
        page = lines[: query.limit]
        return page, page[-1].cursor if len(lines) > len(page) and page else None

    def newest(self, limit: int) -> tuple[list[Line], bool]:
        """The last `limit` lines, oldest first, and whether there are older ones."""
        lines: list[Line] = []
        for index in reversed(range(len(self._streams))):
            wanted = Query(limit=limit + 1 - len(lines))
            lines = self._named(index, self._store.query(self._streams[index], wanted).lines) + lines
            if len(lines) > limit:
                break
        return lines[-limit:], len(lines) > limit

    async def follow(self, query: Query, *, idle_s: float) -> AsyncIterator[Sequence[Line]]:
        """As `logs.follow.follow`, from the first line on or after `query.after`."""
        index, after = self._parse(query.after)
        while index < len(self._streams) - 1:
            wanted = replace(query, after=after, limit=PAGE)
            page = (await asyncio.to_thread(self._store.query, self._streams[index], wanted)).lines
            if page:
                yield self._named(index, page)
            if len(page) < PAGE:
                index, after = index + 1, BEGINNING
            else:
                after = page[-1].cursor
        async for lines in follow(self._store, self._streams[index], replace(query, after=after), idle_s=idle_s):
            yield self._named(index, lines)

    def check(self, query: Query) -> None:
        """Raises ValueError for a cursor that is none of ours."""
        self._parse(query.after)

    def _parse(self, cursor: str | None) -> tuple[int, str]:
        if cursor is None:
            return 0, BEGINNING
        place, _, after = cursor.partition(".")
        if not (place.isascii() and place.isdigit()) or int(place) >= len(self._streams):
            raise ValueError("the cursor is none of ours")
        self._store.position(self._streams[int(place)], after)  # raises for a cursor that is none
        return int(place), after

    @staticmethod
    def _named(index: int, lines: Sequence[Line]) -> list[Line]:
        return [replace(line, cursor=f"{index}.{line.cursor}") for line in lines]
