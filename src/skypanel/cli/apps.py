"""Applications: list, create, show, change, delete; and the plans they may choose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.help import Headed
from skypanel.cli.options import AppName, Json, Yes, api, ask_before

PANEL = "Applications"
apps = typer.Typer(cls=Headed, invoke_without_command=True, help="List, create, show, change and delete applications.")

Plan = Annotated[str | None, typer.Option(help="Plan, as `skypanel plans` lists them")]
Branch = Annotated[str | None, typer.Option(help="Branch to deploy; default: the repository's own")]
Buildpack = Annotated[
    list[str] | None, typer.Option(metavar="NAME|URL", help="auto, a short name or a Git URL; several in order")
]
HealthPath = Annotated[
    str | None, typer.Option(help="HTTP path that answers 2xx or 3xx when healthy; `tcp` for a TCP check")
]
HealthInterval = Annotated[int | None, typer.Option(help="Seconds between health checks")]


def register(app: typer.Typer) -> None:
    app.add_typer(apps, name="apps", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(plans)


@apps.callback()
def default(context: typer.Context, json: Json = False) -> None:
    """List the applications of your organization, or work with one."""
    if context.invoked_subcommand is None:
        list_apps(json=json)


@apps.command("list")
def list_apps(json: Json = False) -> None:
    """List the applications of your organization."""
    from skypanel.cli.output import print_json, print_table

    items = api().items("/api/paas/apps")
    if json:
        print_json(items)
        return
    rows = [
        (a["slug"], a["status"], f"{a['replicas']['running']}/{a['replicas']['desired']}", a["plan"]["slug"],
         f"{a['cost_per_hour']} {a['currency']}", a["url"]) for a in items
    ]  # fmt: skip
    print_table(
        ("app", "status", "replicas", "plan", "per hour", "url"), rows, empty="No applications: skypanel apps create"
    )


@apps.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Its name; the slug is made of it")],
    git: Annotated[str, typer.Option("--git", help="Git URL of the code (https or ssh)")],
    branch: Branch = None,
    plan: Plan = None,
    replicas: Annotated[int | None, typer.Option(help="Web replicas")] = None,
    buildpack: Buildpack = None,
    health_path: HealthPath = None,
    health_interval: HealthInterval = None,
    json: Json = False,
) -> None:
    """Create an application. What it will cost is printed first; deploy it with `skypanel deploy`."""
    from skypanel.cli.output import print_json
    from skypanel.cli.wallet import price_line, price_of
    from skypanel.kit.slug import slugify

    client = api()
    if not json:
        print(price_line(price_of(client, None, replicas=replicas, plan=plan)))

    body = {
        "name": name, "git_url": git, "branch": branch, "plan": plan, "replicas": replicas,
        "buildpack": _buildpacks(buildpack), "health_check": _health(health_path, health_interval),
    }  # fmt: skip
    app = client.post("/api/paas/apps", _given(body))["app"]
    if json:
        print_json(app)
        return
    if app["slug"] != slugify(name):
        print(f"'{slugify(name) or name}' is taken or not allowed as a short name: commands call it {app['slug']}.")
    print(f"Created {app['slug']}. Deploy it: skypanel deploy {app['slug']} --follow")
    print(f"It will answer at {app['url']}")


@apps.command("info")
def info(app: AppName, json: Json = False) -> None:
    """Show an application and its replicas."""
    from skypanel.cli.client import path
    from skypanel.cli.output import moment, print_fields, print_json, print_table

    client = api()
    found = client.get(path("paas", "apps", app))["app"]
    replicas = client.items(path("paas", "apps", app, "replicas"))
    if json:
        print_json(found | {"replica_list": replicas})
        return
    health, plan = found["health_check"], found["plan"]
    checked = f"GET {health['path']}" if health["type"] == "http" else "TCP"
    print_fields([
        ("app", found["slug"]), ("status", found["status"]), ("why", found["status_reason"]), ("url", found["url"]),
        ("git", found["git_url"]), ("branch", found["branch"]), ("buildpack", found["buildpack"]),
        ("plan", f"{plan['slug']} ({plan['price_per_hour']} {found['currency']} per replica and hour)"),
        ("cost", f"{found['cost_per_hour']} {found['currency']} per hour"), ("version", found["current_version"]),
        ("health", f"{checked} every {health['interval_s']} s"),
    ])  # fmt: skip
    rows = [
        (r["name"], r["health"], f"v{r['version']}", r["restarts"], moment(r["started_at"]), r["last_failure"])
        for r in replicas
    ]
    print_table(("replica", "health", "release", "restarts", "started", "last failure"), rows, empty="No replicas.")


@apps.command("update")
def update(
    app: AppName,
    name: Annotated[str | None, typer.Option(help="A new name; the slug stays")] = None,
    git: Annotated[str | None, typer.Option("--git", help="Another Git URL")] = None,
    branch: Branch = None,
    plan: Plan = None,
    buildpack: Buildpack = None,
    build_cache: Annotated[bool | None, typer.Option(help="Keep a cache between builds")] = None,
    health_path: HealthPath = None,
    health_interval: HealthInterval = None,
    json: Json = False,
) -> None:
    """Change an application."""
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    body = _given({
        "name": name, "git_url": git, "branch": branch, "plan": plan, "buildpack": _buildpacks(buildpack),
        "build_cache": build_cache, "health_check": _health(health_path, health_interval),
    })  # fmt: skip
    if not body:
        raise CliError("Say what to change: see `skypanel apps update --help`.", exit_code=Exit.USAGE)
    changed = api().request("PATCH", path("paas", "apps", app), body=body)["app"]
    print_json(changed) if json else print(
        f"Changed {changed['slug']}. What concerns the build holds from the next deploy on."
    )


@apps.command("delete")
def delete(app: AppName, yes: Yes = False, json: Json = False) -> None:
    """Delete an application with its releases, logs and variables."""
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    ask_before(f"Delete {app} with everything that belongs to it?", yes=yes)
    answer = api().request("DELETE", path("paas", "apps", app))
    print_json(answer) if json else print(f"{app} is being deleted.")


@apps.command("clear-cache")
def clear_cache(app: AppName, json: Json = False) -> None:
    """Forget the build cache: the next build starts from nothing."""
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    answer = api().request("DELETE", path("paas", "apps", app, "build-cache"))
    print_json(answer) if json else print("The build cache is cleared.")


def plans(json: Json = False) -> None:
    """List the plans an application may choose."""
    from skypanel.cli.output import print_json, print_table

    items = api().items("/api/paas/plans")
    if json:
        print_json(items)
        return
    rows = [
        (p["slug"], p["cpu"], f"{p['memory_mb']} MB", f"{p['disk_mb'] // 1024} GB", p["max_replicas"],
         p["price_per_hour"], p["price_per_month"], p["storage_price"], p["log_price"]) for p in items
    ]  # fmt: skip
    columns = ("plan", "cpu", "memory", "disk", "max replicas", "per hour", "per month", "storage", "logs")
    print_table(columns, rows, empty="No plans.")
    if items:
        currency = items[0]["currency"]
        print(f"In {currency}: replicas each, per hour and per 730 hours; storage per GB and hour; logs per GB.")


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _buildpacks(chosen: list[str] | None) -> str | list[str] | None:
    if not chosen:
        return None
    return chosen[0] if len(chosen) == 1 else chosen


def _health(path: str | None, interval: int | None) -> dict[str, Any] | None:
    if path is None and interval is None:
        return None
    kind = {} if path is None else {"type": "tcp"} if path == "tcp" else {"type": "http", "path": path}
    return _given({**kind, "interval_s": interval})
