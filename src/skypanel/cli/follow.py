"""Watching a deployment: its build log as it comes, and the stage it is in."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from skypanel.cli.client import Api, data_of, path
from skypanel.cli.exits import CliError
from skypanel.cli.output import harmless

FINAL = frozenset({"running", "superseded", "failed", "cancelled"})
POLL_S = 0.4
LAST_LINES_S = 3.0


def follow_deployment(api: Api, app: str, version: int, *, quiet: bool) -> dict[str, Any]:
    """Prints lines until the deployment is in a final state, and returns it then."""
    console = Console(stderr=False, highlight=False, quiet=quiet, soft_wrap=True)
    where = path("paas", "apps", app, "deployments", version)
    reader = threading.Thread(target=_print_lines, args=(api, f"{where}/logs/stream", console), daemon=True)
    if not quiet:
        reader.start()
    started = time.monotonic()
    with console.status("queued", spinner="dots") as status:
        while True:
            deployment: dict[str, Any] = api.get(where)["deployment"]
            if deployment["status"] in FINAL:
                break
            seconds = time.monotonic() - started
            stage = deployment["stage"]
            status.update(Text(f"v{version} {deployment['status']}{f', {stage}' if stage else ''}  {seconds:.0f} s"))
            time.sleep(POLL_S)
        if not quiet:
            reader.join(LAST_LINES_S)
    return deployment


def _print_lines(api: Api, where: str, console: Console) -> None:
    try:
        for event in api.events(where):
            if event.name == "log":
                line = harmless(str(data_of(event).get("message", ""))).rstrip("\n")
                console.print(Text.from_ansi(line))
            elif event.name == "end":
                return
    except CliError as error:
        print(f"The build log stopped: {error}", file=sys.stderr)
