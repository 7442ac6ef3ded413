"""What the command line costs a person who waits for it: `skypanel --help`, and `skypanel apps` beyond the server.

Floors: Python itself doing nothing, and the same request on an open connection. Each figure is a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from site_under_test import SKYPANEL, site

from bench.report import Row, median, publish

ROUNDS = 15
BAR_MS = 300


def timed(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Milliseconds until it has ended."""
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
    return (time.monotonic() - began) * 1000


def main() -> None:
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as name, site(Path(name)) as running:
        client = running.register("ada")
        env = {
            "SKYPANEL_URL": running.url,
            "SKYPANEL_TOKEN": client.token,
            "SKYPANEL_ORG": client.organization_id,
            "XDG_CONFIG_HOME": name,
        }
        for _ in range(ROUNDS):  # in turns: what else the machine does meets all of them
            taken.setdefault("python", []).append(timed([sys.executable, "-c", "pass"], env))
            taken.setdefault("help", []).append(timed([SKYPANEL, "--help"], env))
            taken.setdefault("apps", []).append(timed([SKYPANEL, "apps"], env))
            began = time.monotonic()
            client.call("GET", "/paas/apps")
            taken.setdefault("request", []).append((time.monotonic() - began) * 1000)
    found = {what: median(times) for what, times in taken.items()}
    floor = found["python"], "ms: python -c pass"
    rows = [
        Row("skypanel --help", found["help"], "ms", BAR_MS, *floor),
        Row("skypanel apps, beyond the server's own time", found["apps"] - found["request"], "ms", BAR_MS, *floor),
    ]
    publish("cli", rows, detail={what: [round(time, 1) for time in times] for what, times in taken.items()})


if __name__ == "__main__":
    main()
