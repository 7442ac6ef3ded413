"""Operators' commands for a cluster. Each reads the settings and calls one verb of this room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from skypanel.cli.help import Headed
from skypanel.manage.command_line import settings_of, stop


@contextmanager
def _one_line() -> Iterator[None]:
    """What is in the way, with what to do about it, instead of a traceback."""
    from skypanel.drivers.engine.client import EngineFailed
    from skypanel.manage.preflight import CannotStart

    try:
        yield
    except (CannotStart, EngineFailed, OSError) as error:
        stop(str(error))


cluster = typer.Typer(cls=Headed, no_args_is_help=True, help="The platform on several machines, with Docker Swarm.")
Forget = Annotated[
    list[str] | None, typer.Option("--forget", metavar="NAME", help="A setting that shall have its default again")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Shared by its managers (SKYPANEL_DATA_DIR)")]


@cluster.command()
def images(
    platform_only: Annotated[
        bool,
        typer.Option("--platform-only", help="On the stack that is there: for an upgrade, and without debootstrap"),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Make the images that `init` starts from, of Debian's and PyPI's packages, in this machine's Docker Engine."""
    from skypanel.manage.cluster.images import make_images

    with _one_line():
        make_images(settings_of(data_dir=data_dir), print, platform_only=platform_only)


@cluster.command()
def init(
    advertise: Annotated[str | None, typer.Option(help="Address of this machine for the others")] = None,
    copies: Annotated[int, typer.Option(min=1, help="Copies of server and worker")] = 2,
    ingress: Annotated[bool, typer.Option(help="This machine takes visitors' requests")] = True,
    edge_dir: Annotated[Path, typer.Option(help="Of this machine alone: its routes")] = Path("/var/lib/skypanel-edge"),
    forget: Forget = None,
    data_dir: DataDir = None,
) -> None:
    """Make this machine the first of a cluster, or bring the cluster to what is wanted now. Idempotent."""
    from skypanel.manage.cluster.init import Options
    from skypanel.manage.cluster.init import init as make

    with _one_line():
        options = Options(advertise, copies, ingress, edge_dir, tuple(forget or ()))
        make(settings_of(data_dir=data_dir), options, print)


@cluster.command()
def adopt(
    advertise: Annotated[str | None, typer.Option(help="Address of this machine for the others")] = None,
    copies: Annotated[int, typer.Option(min=1, help="Copies of server and worker")] = 2,
    edge_dir: Annotated[Path, typer.Option(help="Of this machine alone: its routes")] = Path("/var/lib/skypanel-edge"),
    forget: Forget = None,
    data_dir: DataDir = None,
) -> None:
    """Make the platform that runs on this machine a cluster, with its applications. They are away for a moment."""
    from skypanel.manage.cluster.adopt import adopt as take_over
    from skypanel.manage.cluster.init import Options

    with _one_line():
        options = Options(advertise, copies, True, edge_dir, tuple(forget or ()))
        take_over(settings_of(data_dir=data_dir), options, print)


@cluster.command()
def token(data_dir: DataDir = None) -> None:
    """Print what a further machine needs to join. It is a secret."""
    from skypanel.manage.cluster.join import invitation

    with _one_line():
        print(invitation(settings_of(data_dir=data_dir)).text())


@cluster.command()
def prune(data_dir: DataDir = None) -> None:
    """Take what no image needs any more off the registry's disk, on a manager. The worker does it every night."""
    from skypanel.manage.cluster.prune import prune as sweep

    with _one_line():
        sweep(settings_of(data_dir=data_dir), print)


@cluster.command()
def leave(
    force: Annotated[bool, typer.Option("--force", help="Also as a manager that the others still count on")] = False,
    data_dir: DataDir = None,
) -> None:
    """Take this machine out of the cluster. Idempotent."""
    from skypanel.manage.cluster.leave import leave as go

    with _one_line():
        go(settings_of(data_dir=data_dir), print, force=force)


@cluster.command()
def join(
    token: Annotated[str, typer.Argument(help="What `skypanel cluster token` prints on a manager")],
    manager: Annotated[bool, typer.Option("--manager", help="It votes, and runs copies of server and worker")] = False,
    ingress: Annotated[bool, typer.Option("--ingress", help="It takes visitors' requests")] = False,
    advertise: Annotated[str | None, typer.Option(help="Address of this machine for the others")] = None,
    edge_dir: Annotated[Path, typer.Option(help="Of this machine alone: its routes")] = Path("/var/lib/skypanel-edge"),
    data_dir: DataDir = None,
) -> None:
    """Make this machine part of a cluster. Idempotent."""
    from skypanel.drivers.engine.client import EngineClient
    from skypanel.manage.cluster.join import Invitation, Role
    from skypanel.manage.cluster.join import join as enter
    from skypanel.manage.cluster.place import Here

    role = Role(manager, ingress, advertise, edge_dir)
    with _one_line():
        settings = settings_of(data_dir=data_dir)
        with EngineClient(settings.docker_socket, timeout_s=60) as engine:
            enter(settings, Invitation.read(token), role, print, Here(engine))
