"""Operators' commands. Each reads the settings and calls one verb of this room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skypanel.cli import admin_money
from skypanel.cli.help import Headed
from skypanel.manage.cluster.commands import cluster
from skypanel.manage.command_line import settings_of, stop

if TYPE_CHECKING:
    from skypanel.settings import Settings

PANEL = "Operating the platform"
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept (SKYPANEL_DATA_DIR)")]
HttpPort = Annotated[int | None, typer.Option("--http-port", help="The router's HTTP port (SKYPANEL_HTTP_PORT)")]
HttpsPort = Annotated[int | None, typer.Option("--https-port", help="The router's HTTPS port (SKYPANEL_HTTPS_PORT)")]
Host = Annotated[str | None, typer.Option("--host", help="Address the router listens on (SKYPANEL_HOST)")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]

admin = typer.Typer(cls=Headed, no_args_is_help=True, help="What only those do who run the platform.")


def register(app: typer.Typer) -> None:
    """Adds the operators' commands to the one `skypanel` command."""
    for command in (up, down, demo, doctor, migrate, backup, restore):
        app.command(rich_help_panel=PANEL)(command)
    app.command("rotate-keys", rich_help_panel=PANEL)(rotate_keys)
    app.add_typer(admin, name="admin", rich_help_panel=PANEL)
    admin_money.register(admin)
    app.add_typer(cluster, name="cluster", rich_help_panel=PANEL)


def one_machine(command: str, **flags: Any) -> Settings:
    """Settings of a platform on one machine. Ends the command on a cluster, where it would do its work beside it."""
    from skypanel.manage.cluster.inside import is_cluster

    settings = settings_of(**flags)
    if is_cluster(settings):
        stop(
            f"`skypanel {command}` is for a platform on one machine, and {settings.data_dir} is a cluster's: "
            'docs/operating/cluster.md, "Upgrade, backup", says how a cluster does it.'
        )
    return settings


def up(data_dir: DataDir = None, http_port: HttpPort = None, https_port: HttpsPort = None, host: Host = None) -> None:
    """Run the platform in the foreground: server, worker and router."""
    from skypanel.manage.preflight import CannotStart
    from skypanel.manage.up import up as start

    settings = one_machine("up", data_dir=data_dir, http_port=http_port, https_port=https_port, host=host)
    try:
        start(settings)
    except CannotStart as error:
        stop(str(error))


def down(
    data_dir: DataDir = None,
    apps: Annotated[bool, typer.Option("--apps", help="Stop the applications' replicas too")] = False,
) -> None:
    """Stop a running platform. Applications keep running, unless --apps is given."""
    from skypanel.manage.preflight import CannotStart
    from skypanel.manage.up import down as end

    try:
        ran = end(settings_of(data_dir=data_dir), apps=apps)
    except CannotStart as error:
        stop(str(error))
    print("The platform is stopped." if ran else "No platform was running.")


def demo(data_dir: DataDir = None, http_port: HttpPort = None, https_port: HttpsPort = None, host: Host = None) -> None:
    """Start a platform, deploy a sample application and stay until Ctrl-C."""
    from skypanel.manage.demo import demo as show
    from skypanel.manage.preflight import CannotStart

    settings = one_machine("demo", data_dir=data_dir, http_port=http_port, https_port=https_port, host=host)
    try:
        raise typer.Exit(show(settings))
    except CannotStart as error:
        stop(str(error))


def doctor(data_dir: DataDir = None, json: Json = False) -> None:
    """Look for what would stop the platform, and say what to do about it."""
    from skypanel.manage.doctor import doctor as examine

    raise typer.Exit(examine(one_machine("doctor", data_dir=data_dir), as_json=json))


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest revision (`up` does it by itself)."""
    from skypanel.db import Database
    from skypanel.manage.migrate import NewerDatabase, current, upgrade

    database = Database(one_machine("migrate", data_dir=data_dir).effective_database_url)
    before = current(database)
    try:
        upgrade(database)
    except NewerDatabase as error:
        stop(str(error))
    print(f"The database is at revision {current(database)} (was {before or 'empty'}).")
    database.close()


def backup(target: Annotated[Path, typer.Argument(help="The archive to write")], data_dir: DataDir = None) -> None:
    """Write database, keys and slugs into one archive, while the platform runs."""
    from skypanel.manage.backup import CannotBackUp, write_backup

    try:
        size = write_backup(one_machine("backup", data_dir=data_dir), target=target)
    except CannotBackUp as error:
        stop(str(error))
    print(f"{target} holds everything ({size} bytes), the platform's keys too: keep it where only you can read it.")


def restore(
    source: Annotated[Path, typer.Argument(help="An archive of `skypanel backup`")], data_dir: DataDir = None
) -> None:
    """Bring a backup back into an empty data directory."""
    from skypanel.manage.backup import CannotBackUp, read_backup

    try:
        read_backup(one_machine("restore", data_dir=data_dir), source=source)
    except CannotBackUp as error:
        stop(str(error))
    print("Restored. Start it with `skypanel up`: applications come back by themselves.")


def rotate_keys(data_dir: DataDir = None) -> None:
    """Encrypt every variable anew with a fresh master key, while the platform is down."""
    from skypanel.manage.preflight import CannotStart
    from skypanel.manage.rotate import rotate_master_key

    try:
        count = rotate_master_key(one_machine("rotate-keys", data_dir=data_dir))
    except CannotStart as error:
        stop(str(error))
    print(f"{count} values are encrypted with a new key; the old one is forgotten.")


@admin.command("create")
def admin_create(
    email: Annotated[str, typer.Option(prompt=True, help="What the admin signs in with")],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            envvar="SKYPANEL_ADMIN_PASSWORD",
            help="At least ten characters",
        ),
    ],
    name: Annotated[str, typer.Option(help="How people see it")] = "Administrator",
    data_dir: DataDir = None,
) -> None:
    """Make an admin of the platform, or make an existing user one."""
    from skypanel.errors import SkyPanelError
    from skypanel.manage.admin import create_admin
    from skypanel.manage.cluster.inside import is_cluster, run_inside
    from skypanel.manage.preflight import CannotStart

    settings = settings_of(data_dir=data_dir)
    if is_cluster(settings):
        words = ["admin", "create", "--email", email, "--name", name]
        try:
            print(run_inside(settings, words, env={"SKYPANEL_ADMIN_PASSWORD": password}), end="")
        except CannotStart as error:
            stop(str(error))
        return
    try:
        made = create_admin(settings, email=email, password=password, name=name)
    except SkyPanelError as error:
        stop(error.detail)
    print(f"{email} is an admin now." if made else f"{email} is an admin now, with this password.")
