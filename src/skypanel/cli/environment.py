"""Environment variables: names are listed, values never leave the platform again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import AppName, Json, api

env = typer.Typer(cls=Headed, no_args_is_help=True, help="Set, list, import and export environment variables.")
NoDeploy = Annotated[bool, typer.Option("--no-deploy", help="Hold the change back until the next deployment")]


def register(app: typer.Typer) -> None:
    app.add_typer(env, name="env", rich_help_panel="Applications")


@env.command("list")
def list_variables(app: AppName, json: Json = False) -> None:
    """List the names; values are never shown."""
    from skypanel.cli.client import path
    from skypanel.cli.output import moment, print_json, print_table

    answer = api().get(path("paas", "apps", app, "env"))
    if json:
        print_json(answer)
        return
    rows = [(v["name"], moment(v.get("updated_at"))) for v in answer["items"]]
    print_table(("name", "changed"), rows, empty=f"No variables: skypanel env set {app} NAME=value")


@env.command("set")
def set_variables(
    app: AppName,
    pairs: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="NAME=- reads the value from standard input")
    ],
    no_deploy: NoDeploy = False,
    json: Json = False,
) -> None:
    """Set variables; a running application gets them at once, without an interruption."""
    variables: dict[str, str | None] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CliError(f"{pair!r} is no NAME=VALUE.", exit_code=Exit.USAGE)
        variables[name] = sys.stdin.read().rstrip("\n") if value == "-" else value
    _put(app, variables, no_deploy=no_deploy, json=json)


@env.command("unset")
def unset_variables(
    app: AppName,
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    no_deploy: NoDeploy = False,
    json: Json = False,
) -> None:
    """Remove variables."""
    _put(app, dict.fromkeys(names), no_deploy=no_deploy, json=json)


@env.command("import")
def import_variables(
    app: AppName,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="A .env file; - is standard input")
    ],
    no_deploy: NoDeploy = False,
    json: Json = False,
) -> None:
    """Set everything a .env file names."""
    from skypanel.cli.client import path

    content = sys.stdin.read() if str(file) == "-" else file.read_text()
    answer = api().post(path("paas", "apps", app, "env", "import"), {"content": content}, deploy=_deploy(no_deploy))
    _changed(answer, json=json)


@env.command("export")
def export_variables(app: AppName) -> None:
    """Print the names as a .env file without values."""
    from skypanel.cli.client import path

    print(api().request("GET", path("paas", "apps", app, "env", "export"), text=True), end="")


def _put(app: str, variables: dict[str, str | None], *, no_deploy: bool, json: bool) -> None:
    from skypanel.cli.client import path

    where = path("paas", "apps", app, "env")
    answer = api().request("PUT", where, body={"vars": variables}, params={"deploy": _deploy(no_deploy)})
    _changed(answer, json=json)


def _deploy(no_deploy: bool) -> str | None:
    return "false" if no_deploy else None


def _changed(answer: dict[str, Any], *, json: bool) -> None:
    from skypanel.cli.output import print_json

    if json:
        print_json(answer)
        return
    deployment = answer.get("deployment")
    print(f"Changed; v{deployment['version']} brings it into service." if deployment else "Changed.")
