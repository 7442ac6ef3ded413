"""The users' commands under one Typer application, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys

import typer

from skypanel.cli import account, apps, deployments, environment, logs, nodes, organizations, running, usage, wallet
from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.output import harmless, print_json

app = typer.Typer(
    name="skypanel",
    cls=Headed,
    help="Deploy applications from Git and run them on your own machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: its coloured form takes longer to load than everything else together
)
for room in (account, apps, deployments, running, logs, environment, usage, wallet, organizations, nodes):
    room.register(app)


def run(application: typer.Typer) -> None:
    """Runs the command line and ends the process."""
    try:
        application()
    except CliError as error:
        if "--json" in sys.argv and error.problem is not None:
            print_json(error.problem)
        print(harmless(str(error)), file=sys.stderr)  # it may quote what an application printed
        raise SystemExit(int(error.exit_code)) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(int(Exit.ERROR)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
