"""Money of other organizations, for the platform's operator: signed in as an admin."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.options import Json, Most, Yes, api, ask_before
from skypanel.cli.usage import Csv, From, OneApp, OnePlan, To, hours, show

Org = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its slug or id")]
Amount = Annotated[str, typer.Argument(help="Such as 25.00")]
Reason = Annotated[str, typer.Option(help="Why; the organization sees it")]
NEGATIVE = {"ignore_unknown_options": True}  # `-5` is an amount


def register(admin: typer.Typer) -> None:
    admin.command("wallet")(wallet)
    admin.command("credit")(credit)
    admin.command("refund")(refund)
    admin.command("adjust", context_settings=NEGATIVE)(adjust)
    for command in (suspend, resume, billed, usage):
        admin.command()(command)


def wallet(organization: Org, limit: Most = 10, json: Json = False) -> None:
    """Show an organization's wallet and its latest transactions."""
    from skypanel.cli.output import print_json
    from skypanel.cli.wallet import show_transactions, show_wallet

    client = api()
    found = client.get(_path(organization, "wallet"))["wallet"]
    items = client.items(_path(organization, "wallet", "transactions"), most=limit)
    if json:
        print_json(found | {"transactions": items})
        return
    show_wallet(found, json=False)
    print()
    show_transactions(items, json=False)


def credit(organization: Org, amount: Amount, reason: Reason, json: Json = False) -> None:
    """Give an organization money."""
    _enter("credit", organization, amount, reason, json=json)


def refund(organization: Org, amount: Amount, reason: Reason, json: Json = False) -> None:
    """Give back what an organization paid for usage."""
    _enter("refund", organization, amount, reason, json=json)


def adjust(
    organization: Org,
    amount: Annotated[str, typer.Argument(help="Such as 5.00 or -5.00")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Put a wallet right; the amount may be negative."""
    _enter("adjustment", organization, amount, reason, json=json)


def suspend(organization: Org, yes: Yes = False, json: Json = False) -> None:
    """Put everything of an organization to rest, until `skypanel admin resume`."""
    ask_before(f"Suspend {organization} with all its applications?", yes=yes)
    _print(api().post(_path(organization, "suspend"))["wallet"], f"{organization} is suspended.", json=json)


def resume(organization: Org, json: Json = False) -> None:
    """Bring a suspended organization back as it was."""
    _print(api().post(_path(organization, "resume"))["wallet"], f"{organization} is active again.", json=json)


def billed(
    organization: Org, switch: Annotated[str, typer.Argument(metavar="on|off", help="on: it pays")], json: Json = False
) -> None:
    """Let an organization pay for what it uses, or not."""
    if switch not in ("on", "off"):
        raise CliError("Say `on` or `off`.", exit_code=Exit.USAGE)
    found = api().request("PATCH", _path(organization), body={"billed": switch == "on"})["organization"]
    said = "pays for what it uses" if found["billed"] else "uses the platform for free"
    _print(found, f"{organization} {said}.", json=json)


def usage(
    app: OneApp = None, plan: OnePlan = None, since: From = None, until: To = None, csv: Csv = False, json: Json = False
) -> None:
    """Show what all organizations used and what it cost."""
    filters = {"from": since, "to": until, "app": app, "plan": plan}
    show("/api/admin/paas/usage", _by_organization, filters | ({} if csv else {"limit": "200"}), csv=csv, json=json)


def _by_organization(items: list[dict[str, Any]]) -> None:
    from skypanel.cli.output import print_table

    rows = [(i["organization"], i["name"], hours(i["replica_seconds"]), i["log_bytes"], i["cost"]) for i in items]
    print_table(("organization", "name", "replica hours", "log bytes", "cost"), rows, empty="Nothing was used.")


def _enter(kind: str, organization: str, amount: str, reason: str, *, json: bool) -> None:
    body = {"kind": kind, "amount": amount, "reason": reason}
    answer = api().post(_path(organization, "wallet", "entries"), body)
    wallet = answer["wallet"]
    said = f"{answer['entry']['amount']} {wallet['currency']}; {organization} has {wallet['balance']} now."
    _print(answer, said if wallet["state"] != "suspended" else f"{said} It stays suspended.", json=json)


def _print(answer: Any, said: str, *, json: bool) -> None:
    from skypanel.cli.output import harmless, print_json

    print_json(answer) if json else print(harmless(said))


def _path(*parts: str) -> str:
    from skypanel.cli.client import path

    return path("admin", "paas", "organizations", *parts)
