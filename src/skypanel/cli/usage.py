"""What applications used and what it cost."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from skypanel.cli.options import Json, api

Day = "a day of UTC such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z"
From = Annotated[str | None, typer.Option("--from", help=f"Hours that begin then or later: {Day}; default: this month")]
To = Annotated[str | None, typer.Option("--to", help="Hours that begin before then")]
Csv = Annotated[bool, typer.Option("--csv", help="Every hour as a row of comma-separated values")]
OneApp = Annotated[str | None, typer.Option("--app", help="Only this application: slug or id; a deleted one by its id")]
OnePlan = Annotated[str | None, typer.Option("--plan", help="Only what ran under this plan")]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Money")(usage)


def usage(
    app: OneApp = None, plan: OnePlan = None, since: From = None, until: To = None, csv: Csv = False, json: Json = False
) -> None:
    """Show what applications used and what it cost, this month or in another range."""
    show("/api/paas/usage", _by_app, {"from": since, "to": until, "app": app, "plan": plan}, csv=csv, json=json)


def show(path: str, table: Any, filters: dict[str, str | None], *, csv: bool, json: bool) -> None:
    """`table` prints the rows of an answer for people."""
    from skypanel.cli.output import moment, print_json

    if csv:
        for part in api().text(path, format="csv", **filters):
            sys.stdout.write(part)
        return
    found = api().get(path, **filters)
    if json:
        print_json(found)
        return
    table(found["items"])
    print(f"Together {found['total']} {found['currency']} from {moment(found['from'])} to {moment(found['to'])} UTC.")


def _by_app(items: list[dict[str, Any]]) -> None:
    from skypanel.cli.output import print_table

    rows = [
        (f"{i['app']} (deleted)" if i["deleted"] else i["app"], i["plan"], i["hours"], hours(i["replica_seconds"]),
         i["storage_gb_hours"], i["log_bytes"], f"{i['cost']} {i['currency']}") for i in items
    ]  # fmt: skip
    columns = ("app", "plan", "hours", "replica hours", "GB hours kept", "log bytes", "cost")
    print_table(columns, rows, empty="Nothing was used.")


def hours(seconds: int) -> str:
    return f"{seconds / 3600:.2f}"
