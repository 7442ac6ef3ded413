"""The organization's wallet, and the price before an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from skypanel.cli import topups
from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import Json, Most, api

if TYPE_CHECKING:
    from skypanel.cli.client import Api

PANEL = "Money"
wallet = typer.Typer(cls=Headed, invoke_without_command=True, help="Show the wallet, its transactions and statements.")
Month = Annotated[str | None, typer.Option(help="A month of UTC such as 2026-11; default: this month")]


def register(app: typer.Typer) -> None:
    app.add_typer(wallet, name="wallet", rich_help_panel=PANEL)
    topups.register(wallet)
    app.command(rich_help_panel=PANEL)(price)


@wallet.callback()
def default(context: typer.Context, json: Json = False) -> None:
    """Show what is in the wallet and how long it lasts, or work with it."""
    if context.invoked_subcommand is None:
        show_wallet(api().get("/api/paas/wallet"), json=json)


def show_wallet(found: dict[str, Any], *, json: bool) -> None:
    from skypanel.cli.output import print_fields, print_json

    if json:
        print_json(found)
        return
    currency, left = found["currency"], found["hours_left"]
    needed, cap = found["needed_to_resume"], found["cap"]
    print_fields([
        ("balance", f"{found['balance']} {currency}"), ("state", found["state"]), ("why", found["suspended_reason"]),
        ("to resume", needed and f"{needed} {currency} for an hour of what is suspended"),
        ("burns", f"{found['burn_per_hour']} {currency} per hour"),
        ("lasts", None if left is None else f"{left} hours"),
        ("this month", f"{found['spent_this_month']} {currency}"), ("cap", cap and f"{cap} {currency} per month"),
    ])  # fmt: skip


@wallet.command("transactions")
def wallet_transactions(limit: Most = 30, json: Json = False) -> None:
    """List what the wallet got and paid, newest first."""
    show_transactions(api().items("/api/paas/wallet/transactions", most=limit), json=json)


def show_transactions(items: list[dict[str, Any]], *, json: bool) -> None:
    from skypanel.cli.output import moment, print_json, print_table

    if json:
        print_json(items)
        return
    rows = [
        (moment(t["created_at"]), t["kind"], f"{t['amount']} {t['currency']}", t["balance"], t["author"], t["reason"])
        for t in items
    ]
    print_table(("when", "kind", "amount", "balance", "by", "reason"), rows, empty="Nothing yet.")


@wallet.command("statement")
def wallet_statement(month: Month = None, json: Json = False) -> None:
    """Show a month on one page: what was there, what came and went, and what it was used for."""
    from skypanel.cli.output import print_fields, print_json, print_table
    from skypanel.cli.usage import hours

    found = api().get("/api/paas/wallet/statement", month=month)
    if json:
        print_json(found)
        return
    currency = found["currency"]
    print_fields([
        ("month", found["month"]), ("opening", f"{found['opening']} {currency}"),
        *((kind["kind"], f"{kind['amount']} {currency}") for kind in found["kinds"]),
        ("closing", f"{found['closing']} {currency}"),
    ])  # fmt: skip
    rows = [(u["app"], u["plan"], u["hours"], hours(u["replica_seconds"]), u["cost"]) for u in found["usage"]]
    print_table(("app", "plan", "hours", "replica hours", "cost"), rows, empty="Nothing was used.")
    print(f"Its hours cost {found['usage_total']} {currency}; the last one is charged in the next month.")


@wallet.command("cap")
def wallet_cap(
    amount: Annotated[str, typer.Argument(help="The most to spend in a month, such as 25.00; `none` removes it")],
    json: Json = False,
) -> None:
    """Set the most that may be spent in a month; for owners."""
    from skypanel.cli.output import print_json

    cap = None if amount == "none" else amount
    found = api().request("PUT", "/api/paas/wallet/cap", body={"cap": cap})["wallet"]
    if json:
        print_json(found)
    elif found["cap"] is None:
        print("There is no cap.")
    else:
        print(f"The cap is {found['cap']} {found['currency']} a month; {found['spent_this_month']} are spent.")


@wallet.command("resume")
def wallet_resume(json: Json = False) -> None:
    """Bring back what was suspended, once the wallet carries an hour of it."""
    from skypanel.cli.output import print_json

    found = api().post("/api/paas/wallet/resume")["wallet"]
    print_json(found) if json else print("Everything comes back as it was.")


def price(
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="Left out: of a new application")] = None,
    replicas: Annotated[int | None, typer.Option(min=0, help="How many")] = None,
    plan: Annotated[str | None, typer.Option(help="Plan, as `skypanel plans` lists them")] = None,
    process: Annotated[str, typer.Option(help="Which process type of the Procfile")] = "web",
    json: Json = False,
) -> None:
    """Show what more replicas, another plan or a new application would cost. Nothing is changed."""
    from skypanel.cli.output import print_json

    if app is None and process != "web":
        raise CliError("A new application has web replicas only: name one before --process.", exit_code=Exit.USAGE)
    found = price_of(api(), app, replicas=replicas, plan=plan, process=process)
    print_json(found) if json else print(price_line(found))


def price_of(
    client: Api, app: str | None, *, replicas: int | None, plan: str | None = None, process: str = "web"
) -> dict[str, Any]:
    from skypanel.cli.client import path

    where = path("paas", "price") if app is None else path("paas", "apps", app, "price")
    other = None if process == "web" else process
    found: dict[str, Any] = client.get(where, replicas=replicas, plan=plan, process_type=other)
    return found


def price_line(found: dict[str, Any]) -> str:
    """`3 of 10 web replicas (now 1), plan pro: 0.2082 USD per hour, 151.986 per month; balance after an hour …`."""
    from skypanel.cli.output import cell

    currency = found["currency"]
    line = (
        f"{found['replicas']} of {found['max_replicas']} {cell(found['process_type'])} replicas (now "
        f"{found['current_replicas']}), plan {cell(found['plan'])}: {found['cost_per_hour']} {currency} per hour, "
        f"{found['cost_per_month']} per month"
    )
    if found["billed"]:
        line += f"; balance {found['balance']}, after an hour of everything {found['balance_after_hour']} {currency}"
    if not found["fits_plan"]:
        return f"{line}. The plan does not allow so many replicas."
    return line + ("." if found["affordable"] else ". The wallet does not carry an hour of it.")
