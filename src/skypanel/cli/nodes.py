"""Machines, for the platform's operator: signed in as an admin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import Json, Yes, api, ask_before

nodes = typer.Typer(cls=Headed, no_args_is_help=True, help="List, drain and remove machines.")
Name = Annotated[str, typer.Argument(metavar="NODE", help="Its host name")]


def register(app: typer.Typer) -> None:
    app.add_typer(nodes, name="nodes", rich_help_panel="Operating the platform")


@nodes.command("list")
def nodes_list(json: Json = False) -> None:
    """List the machines that applications run on."""
    from skypanel.cli.output import print_json, print_table

    items = api().items("/api/admin/paas/nodes")
    if json:
        print_json(items)
        return
    columns = ("name", "role", "ingress", "status", "replicas", "cpu", "memory MB")
    rows = [(n["name"], n["role"], "yes" if n["ingress"] else "", _status(n), n["replicas"],
             f"{n['used_cpu_millis'] / 1000:g}/{n['cpu_millis'] / 1000:g}",
             f"{n['used_memory_mb']}/{n['memory_mb']}") for n in items]  # fmt: skip
    print_table(columns, rows, empty="None yet; the worker has not looked.")
    for node in items:
        if node["alert"]:
            print(f" !     {node['alert']}")


@nodes.command("add")
def nodes_add(
    host: Annotated[str, typer.Argument(help="Its address")],
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Private SSH key without a passphrase")],
    user: Annotated[str, typer.Option(help="root, or one with sudo")] = "root",
    port: Annotated[int, typer.Option(help="Of SSH")] = 22,
    manager: Annotated[bool, typer.Option("--manager", help="It votes, and runs copies of server and worker")] = False,
    ingress: Annotated[bool, typer.Option("--ingress", help="It takes visitors' requests")] = False,
    json: Json = False,
) -> None:
    """Let a machine with the Docker Engine join, through SSH from a manager."""
    from skypanel.cli.output import print_json

    body = {"host": host, "port": port, "user": user, "private_key": key.read_text(), "ingress": ingress,
            "role": "manager" if manager else "worker"}  # fmt: skip
    found = _node(api().post("/api/admin/paas/nodes", body))
    print_json(found) if json else print(f"{host} joins. How it gets on: skypanel nodes list")


@nodes.command("drain")
def nodes_drain(
    name: Name, wait: Annotated[bool, typer.Option(help="Until it is drained")] = True, json: Json = False
) -> None:
    """Start its applications elsewhere, then end them there."""
    import time

    from skypanel.cli.output import print_json

    found = _node(api().post(f"/api/admin/paas/nodes/{name}/drain"))
    while wait and found["availability"] == "draining":
        if found["alert"]:
            raise CliError(found["alert"], exit_code=Exit.ERROR)
        time.sleep(1)
        found = _node(api().get(f"/api/admin/paas/nodes/{name}"))
    print_json(found) if json else print(f"{name} is {found['availability']}.")


@nodes.command("activate")
def nodes_activate(name: Name, json: Json = False) -> None:
    """Let it take applications again."""
    from skypanel.cli.output import print_json

    found = _node(api().post(f"/api/admin/paas/nodes/{name}/activate"))
    print_json(found) if json else print(f"{name} takes applications.")


@nodes.command("remove")
def nodes_remove(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Take a drained or lost machine out of the cluster. On the machine itself: skypanel cluster leave."""
    from skypanel.cli.output import print_json

    ask_before(f"Remove {name} from the cluster?", yes=yes)
    found = _node(api().request("DELETE", f"/api/admin/paas/nodes/{name}"))
    print_json(found) if json else print(f"{name} is removed.")


def _node(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer["node"]
    return found


def _status(node: dict[str, Any]) -> str:
    return str(node["status"] if node["availability"] == "active" else node["availability"])
