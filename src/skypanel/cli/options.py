"""Options that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from skypanel.cli.client import Api

Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
AppName = Annotated[str, typer.Argument(metavar="APP", help="The application's slug or id")]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


def api() -> Api:
    from skypanel.cli.client import Api
    from skypanel.cli.config import load_config

    return Api(load_config())


def ask_before(question: str, *, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)
