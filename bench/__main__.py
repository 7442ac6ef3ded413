"""All parts one after the other, each in a process of its own, then one table: `python -m bench [part …]`."""

from __future__ import annotations

import subprocess
import sys
import time

from bench import RESULTS, ROOT
from bench.report import Row, read, table

PARTS = ("idle", "cli", "api", "logs", "router", "redeploy", "zero_failed", "attack", "billing", "cluster")


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    rows: list[Row] = []
    broken = []
    for part in wanted:
        began = time.monotonic()
        print(f"== {part}", flush=True)
        (RESULTS / f"{part}.json").unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{part}"], cwd=ROOT, check=False)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode == 0:
            rows += read(part)
        else:
            broken.append(part)
    missed = [row.what for row in rows if row.met is False]
    text = table(rows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "table.md").write_text(text + "\n")
    print(f"\n{text}\n\n{len(rows)} figures, {len(missed)} beyond their bar.")
    for part in broken:
        print(f"{part} ended with an error; see above.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
