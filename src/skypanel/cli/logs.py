"""Log lines: the past ones, and those to come."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from skypanel.cli.options import AppName, Json, Most, api


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Applications")(logs)


def logs(
    app: AppName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C")] = False,
    source: Annotated[str | None, typer.Option(help="build, app, router or system")] = None,
    level: Annotated[str | None, typer.Option(help="debug, info, warn or error")] = None,
    replica: Annotated[str | None, typer.Option(help="A replica, such as web.1")] = None,
    search: Annotated[str | None, typer.Option(help="Only lines that contain this text")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 15m, 2h, 3d, or a time such as 2026-01-31T12:00:00Z")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to then, in the same forms")] = None,
    limit: Most = 100,
    json: Json = False,
) -> None:
    """Show an application's log."""
    from skypanel.cli.client import data_of, path
    from skypanel.cli.output import json_text, log_line, print_json

    where = path("paas", "apps", app, "logs")
    filters = {
        "source": source, "level": level, "replica": replica, "search": search, "since": moment_of(since),
        "until": moment_of(until),
    }  # fmt: skip
    colour = sys.stdout.isatty()
    client = api()
    if not follow:
        page = client.get(where, limit=min(limit, 1000), **filters)
        if json:
            print_json(page["items"])
            return
        for line in page["items"]:
            print(log_line(line, colour=colour))
        return
    for event in client.events(f"{where}/stream", **filters):
        if event.name == "log":
            line = data_of(event)
            print(json_text(line) if json else log_line(line, colour=colour), flush=True)


def moment_of(text: str | None) -> str | None:
    """`15m` -> the moment fifteen minutes ago, RFC 3339; a moment stays as it is."""
    from datetime import UTC, datetime, timedelta

    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text and text[:-1].isdigit() and text[-1] in units:
        then = datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
        return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text
