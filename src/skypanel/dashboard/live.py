"""One address, two representations: the page, and (for `Accept: text/event-stream`) what changes in it.

The stream renders the same page again whenever something it shows was committed (`db.changes`), and sends the regions
that differ; log lines go through the same connection. Between events nothing runs and no database session is held.

    event regions   [{"id", "mark", "html"}]
    event lines     {"html"}, its id is the last line's cursor: a reconnect goes on behind it
    event gone      {}: the page may no longer be seen (signed out, deleted); the browser asks for it anew
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import Response

from skypanel.dashboard.account import Account, current_account
from skypanel.dashboard.cookies import subject_of
from skypanel.dashboard.log_lines import lines_html
from skypanel.dashboard.pages import Region, page, render
from skypanel.db import Session
from skypanel.db.changes import Subscription
from skypanel.drivers.logstore.port import Line
from skypanel.errors import SkyPanelError
from skypanel.http.context import client_address, services
from skypanel.http.paging import cursor_checked
from skypanel.http.sse import ALIVE, BEGIN, HEARTBEAT_S, MEDIA_TYPE, RECHECK_S, ClosingStream, event

AT_MOST_EVERY_S = 0.15  # a busy deployment commits more often than anybody reads

Follow = Callable[[str | None], AsyncIterator[Sequence[Line]]]


@dataclass(frozen=True)
class View:
    """What a page shows. `topics`: what its regions follow. `follow`: log lines after a cursor, as they come (raises
    ValueError for a cursor that is none); `line_address` is the beginning of each line's own address."""

    template: str
    context: dict[str, object] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    follow: Follow | None = None
    line_address: str = "#l-"


Load = Callable[[Session, Account], View]


def live_page(request: Request, account: Account, session: Session, load: Load, *, status: int = 200) -> Response:
    """`load` is called again, with a session and account of their own, for each change."""
    view = load(session, account)
    if MEDIA_TYPE in request.headers.get("accept", ""):
        after = request.headers.get("last-event-id") or request.query_params.get("after") or None
        with cursor_checked():
            lines = view.follow(after) if view.follow is not None else None
        return ClosingStream(_events(request, load, view, view.topics | account.topics, lines))
    return page(request, view.template, status=status, context=view.context, account=account)


async def _events(
    request: Request,
    load: Load,
    view: View,
    topics: frozenset[str],
    lines: AsyncIterator[Sequence[Line]] | None,
) -> AsyncGenerator[bytes, None]:
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    subscription = services(request).changes.subscribe(wake)
    subscription.topics = topics
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=8)
    feeds = [_regions(request, load, subscription, woken, queue)]
    if lines is not None:
        feeds.append(_lines(lines, view.line_address, queue))
    tasks = [asyncio.create_task(_to_its_end(feed, queue)) for feed in feeds]
    try:
        yield BEGIN
        while True:
            try:
                chunk = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
            except TimeoutError:
                if await request.is_disconnected():
                    return
                yield ALIVE
                continue
            if chunk is None:
                _raise_of(tasks)
                return
            yield chunk
    finally:
        subscription.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _to_its_end(feed: Coroutine[None, None, None], queue: asyncio.Queue[bytes | None]) -> None:
    try:
        await feed
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


def _raise_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    """What broke one of them breaks the stream, and the browser connects again."""
    for task in tasks:
        if task.done():
            task.result()


async def _regions(
    request: Request, load: Load, subscription: Subscription, woken: asyncio.Event, queue: asyncio.Queue[bytes | None]
) -> None:
    known: dict[str, str] = {}
    while True:
        woken.clear()
        try:
            topics, regions = await asyncio.to_thread(_look, request, load)
        except SkyPanelError:
            await queue.put(event("gone", {}))
            return
        subscription.topics = topics
        changed = [
            {"id": name, "mark": region.mark, "html": region.html}
            for name, region in regions.items()
            if known.get(name) != region.mark
        ]
        known = {name: region.mark for name, region in regions.items()}
        if changed:
            await queue.put(event("regions", changed))
        await asyncio.sleep(AT_MOST_EVERY_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), RECHECK_S)


def _look(request: Request, load: Load) -> tuple[frozenset[str], dict[str, Region]]:
    with services(request).database.reading() as session:
        account = current_account(request, session, client_address(request))
        view = load(session, account)
        rendered = render(
            request, view.template, {"account": account, **view.context}, subject=subject_of(request) or ""
        )
    return view.topics | account.topics, rendered.regions


async def _lines(batches: AsyncIterator[Sequence[Line]], address: str, queue: asyncio.Queue[bytes | None]) -> None:
    async for lines in batches:
        if lines:
            await queue.put(event("lines", {"html": lines_html(lines, around=address)}, cursor=lines[-1].cursor))
