"""Paying into the wallet by card."""

from __future__ import annotations

from typing import Annotated

import typer

from skypanel.cli.options import Json, Most, api

TOPUP = "/api/paas/wallet/topup"


def register(wallet: typer.Typer) -> None:
    """Into the group of the wallet's commands."""
    wallet.command("topup")(topup)
    wallet.command("topups")(topups)


def topup(
    amount: Annotated[str, typer.Argument(help="How much, in the platform's currency")], json: Json = False
) -> None:
    """Begin to pay into the wallet by card; prints the address to pay at."""
    from skypanel.cli.output import print_json

    started = api().post(TOPUP, {"amount": amount})
    print_json(started) if json else print(started["url"])


def topups(most: Most = 20, json: Json = False) -> None:
    """List top-ups by card, newest first."""
    from skypanel.cli.output import print_json, print_table

    items = api().items(f"{TOPUP}s", most=most)
    if json:
        print_json(items)
        return
    rows = [(t["created_at"], f"{t['amount']} {t['currency']}", t["state"], t["created_by"]) for t in items]
    print_table(("begun", "amount", "state", "by"), rows, empty="None.")
