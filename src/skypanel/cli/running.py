"""What runs: scale, restart, stop, one-off commands."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.options import AppName, Json, api

PANEL = "Applications"


def register(app: typer.Typer) -> None:
    for command in (scale, restart, stop):
        app.command(rich_help_panel=PANEL)(command)
    app.command(rich_help_panel=PANEL, context_settings={"ignore_unknown_options": True})(run)


def scale(
    app: AppName,
    replicas: Annotated[int, typer.Argument(min=0, help="How many")],
    process: Annotated[str, typer.Option(help="Which process type of the Procfile")] = "web",
    json: Json = False,
) -> None:
    """Run so many replicas. What they cost is printed first."""
    from skypanel.cli.wallet import price_line, price_of

    if not json:
        print(price_line(price_of(api(), app, replicas=replicas, process=process)))
    body: dict[str, Any] = {"replicas": replicas} | ({} if process == "web" else {"process_type": process})
    _ask(
        app,
        "scale",
        body,
        f"{app} is being scaled to {replicas} {process} replica{'' if replicas == 1 else 's'}.",
        json=json,
    )


def restart(app: AppName, json: Json = False) -> None:
    """Roll the replicas, or start a stopped application again."""
    _ask(app, "restart", None, f"{app} is being restarted.", json=json)


def stop(app: AppName, json: Json = False) -> None:
    """Stop every replica. `skypanel restart` brings the application back."""
    _ask(app, "stop", None, f"{app} is being stopped.", json=json)


def run(
    app: AppName,
    command: Annotated[list[str], typer.Argument(help="After `--`: the command and its arguments")],
    json: Json = False,
) -> None:
    """Run a command in a fresh replica of the current release, and exit with its exit code."""
    import shlex
    import sys

    from skypanel.cli.client import data_of, path
    from skypanel.cli.output import harmless, print_json

    client, terminal = api(), sys.stdout.isatty()  # a file or a pipe gets what the command printed
    text = command[0] if len(command) == 1 else shlex.join(command)
    made = client.post(path("paas", "apps", app, "run"), {"command": text})["run"]
    where = path("paas", "apps", app, "runs", made["id"])
    try:
        if not json:
            for event in client.events(f"{where}/logs/stream"):
                if event.name == "log":
                    line = str(data_of(event).get("message", "")).rstrip("\n")
                    sys.stdout.write((harmless(line) if terminal else line) + "\n")
                    sys.stdout.flush()
                elif event.name == "end":
                    break
        result = client.get(where)["run"]
        while result["status"] in ("queued", "running"):
            time.sleep(0.3)
            result = client.get(where)["run"]
    except KeyboardInterrupt:  # as if it ran here
        client.post(f"{where}/cancel")
        print("\nThe command is being ended.", file=sys.stderr)
        raise
    if json:
        print_json(result)
    if result["exit_code"] is None:
        raise CliError(result["reason"] or f"The command {result['status']}.", exit_code=Exit.ERROR)
    if result["reason"] and not json:
        print(harmless(result["reason"]), file=sys.stderr)
    raise typer.Exit(result["exit_code"])


def _ask(app: str, verb: str, body: dict[str, Any] | None, message: str, *, json: bool) -> None:
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    answer = api().post(path("paas", "apps", app, verb), body)
    print_json(answer) if json else print(message)
