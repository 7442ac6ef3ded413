"""Deploy, watch, roll back, cancel."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from skypanel.cli.exits import CliError, Exit
from skypanel.cli.options import AppName, Json, Most, api

PANEL = "Applications"
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the build log and wait for the end")]
Version = Annotated[int, typer.Argument(help="Version, as `skypanel deployments` lists them")]


def register(app: typer.Typer) -> None:
    for command in (deploy, deployments, rollback, cancel):
        app.command(rich_help_panel=PANEL)(command)


def deploy(
    app: AppName,
    commit: Annotated[str | None, typer.Option(help="A commit of the branch instead of its newest")] = None,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Build the newest commit and put it into service."""
    from skypanel.cli.client import path

    answer = api().post(path("paas", "apps", app, "deploy"), {"commit": commit} if commit else None)
    _report(app, answer["deployment"], follow=follow, json=json)


def rollback(
    app: AppName,
    version: Version,
    restore_env: Annotated[bool, typer.Option("--restore-env", help="Bring that release's variables back too")] = False,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Put an older version back into service; builds nothing."""
    from skypanel.cli.client import path

    answer = api().post(path("paas", "apps", app, "rollback"), {"version": version, "restore_env": restore_env})
    _report(app, answer["deployment"], follow=follow, json=json)


def cancel(app: AppName, version: Version, json: Json = False) -> None:
    """Cancel a deployment that has not finished."""
    from skypanel.cli.client import path
    from skypanel.cli.output import print_json

    answer = api().post(path("paas", "apps", app, "deployments", version, "cancel"))
    print_json(answer) if json else print(f"v{version} is being cancelled.")


def deployments(
    app: AppName,
    version: Annotated[int | None, typer.Argument(help="Show this one with its build log")] = None,
    limit: Most = 20,
    json: Json = False,
) -> None:
    """List an application's deployments, or show one."""
    from skypanel.cli.client import path
    from skypanel.cli.output import megabytes, moment, print_json, print_table

    if version is not None:
        _show(app, version, json=json)
        return
    items = api().items(path("paas", "apps", app, "deployments"), most=limit)
    if json:
        print_json(items)
        return
    rows = [
        (f"v{d['version']}", d["status"], d["kind"], (d["commit"] or "")[:8],
         _brief(d["reason"] or d["commit_message"]),
         d["buildpack"], megabytes(d["slug_size_bytes"]), d["requested_by"], moment(d["created_at"])) for d in items
    ]  # fmt: skip
    columns = ("version", "status", "kind", "commit", "message", "buildpack", "slug", "by", "created")
    print_table(columns, rows, empty=f"No deployments yet: skypanel deploy {app}")


def _brief(text: str | None) -> str:
    return (text or "").split("\n")[0][:60]


def _show(app: str, version: int, *, json: bool) -> None:
    from skypanel.cli.client import path
    from skypanel.cli.output import log_line, megabytes, moment, print_fields, print_json, print_table

    client = api()
    found = client.get(path("paas", "apps", app, "deployments", version))["deployment"]
    if json:
        print_json(found)
        return
    print_fields([
        ("version", f"v{found['version']}"), ("status", found["status"]), ("why", found["reason"]),
        ("kind", found["kind"]),
        ("commit", found["commit"]), ("message", found["commit_message"]), ("author", found["commit_author"]),
        ("buildpack", found["buildpack"]), ("slug", megabytes(found["slug_size_bytes"])),
        ("digest", found["slug_digest"]),
        ("by", found["requested_by"]), ("cause", found["cause"]), ("rolled back from", found["rolled_back_from"]),
    ])  # fmt: skip
    stages = [(s["name"], s["status"], moment(s["started_at"]), moment(s["finished_at"])) for s in found["stages"]]
    print_table(("stage", "status", "started", "finished"), stages, empty="Not started yet.")
    where = path("paas", "apps", app, "deployments", version, "logs")
    for line in client.get(where, limit=1000)["items"]:
        print(log_line(line, colour=False))


def _report(app: str, deployment: dict[str, Any], *, follow: bool, json: bool) -> None:
    from skypanel.cli.follow import follow_deployment
    from skypanel.cli.output import print_json

    version = deployment["version"]
    if follow:
        try:
            deployment = follow_deployment(api(), app, version, quiet=json)
        except KeyboardInterrupt:
            print(
                f"\nv{version} goes on without you. Watch it: skypanel deployments {app} {version}"
                f"   Cancel it: skypanel cancel {app} {version}",
                file=sys.stderr,
            )
            raise
    if json:
        print_json(deployment)
    if not follow:
        if not json:
            print(f"v{version} is queued. Watch it: skypanel deployments {app} {version}")
        return
    status = deployment["status"]
    if status != "running" and status != "superseded":
        raise CliError(f"v{version} {status}: {deployment['reason'] or 'no reason was given'}", exit_code=Exit.FAILED)
    if not json:
        url = api().get(f"/api/paas/apps/{deployment_app(app)}")["app"]["url"]
        took = deployment.get("duration_ms")
        print(f"v{version} is {status}{f' after {took / 1000:.1f} s' if took else ''}: {url}")


def deployment_app(app: str) -> str:
    from urllib.parse import quote

    return quote(app, safe="")
