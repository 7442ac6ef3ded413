"""Seeded kills, as in tests/chaos and as many as one likes: `python -m bench.chaos [200] [seed]`, about 4 s each.

For each victim: how long until everything was true again, and what visitors lost."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import ROOT
from bench.report import Row, median, percentile, publish

sys.path.insert(0, str(ROOT / "tests" / "support"))
from git_http import GitHttpServer
from site_under_test import site

from chaos import LEASE_S, Result, chaos, kills

SETTINGS = {
    "SKYPANEL_MAX_APPS_PER_ORG": "1000",
    "SKYPANEL_HEALTH_DEADLINE_S": "15",
    "SKYPANEL_DRAIN_TIMEOUT_S": "3",
    "SKYPANEL_STOP_GRACE_S": "2",
}


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    results: list[Result] = []
    broken: list[str] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        GitHttpServer(Path(directory) / "git") as repositories,
        site(Path(directory), **SETTINGS) as running,
        chaos(running, repositories) as suffering,
    ):
        for kill in kills(count, seed):
            try:
                results.append(suffering.suffer(kill))
                print(f"{kill}: {results[-1].outcome}, true again after {results[-1].settled_s:.1f} s", flush=True)
            except AssertionError as error:
                broken.append(str(error))
                print(f"BROKEN {error}", flush=True)
    publish("chaos", rows_of(results, broken), detail={"seed": seed, "broken": broken})
    return 1 if broken else 0


def rows_of(results: list[Result], broken: list[str]) -> list[Row]:
    by_victim: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_victim[result.kill.victim].append(result)
    rows = [Row("kills that ended untrue", len(broken), "", bar=0, note=f"of {len(results) + len(broken)}")]
    for victim, mine in sorted(by_victim.items()):
        times = [result.settled_s for result in mine]
        lost, asked = sum(result.failed for result in mine), sum(result.asked for result in mine)
        note = f"{len(mine)} kills, p95 {percentile(times, 95):.1f} s, most {max(times):.1f} s"
        note += f"; {lost} of {asked} requests lost"
        rows.append(Row(f"{victim} killed: until all is true again", median(times), "s", bar=2 * LEASE_S, note=note))
        others = sum(result.bystander_failed for result in mine)
        rows.append(Row(f"{victim} killed: requests a neighbour lost", others, ""))
    return rows


if __name__ == "__main__":
    sys.exit(main())
