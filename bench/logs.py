"""Figures of the log store, and of a line from an app's print to a client of the log stream through the platform.

`python -m bench.logs [million lines]`. Queries are asked of one app among 100 and five million lines.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from git_http import GitHttpServer
from site_under_test import site

from bench.report import Row, median, percentile, publish
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Entry, Query
from skypanel.logs.collector import Collector, LogTarget

MESSAGE = "GET /products/1234 200 in 12ms request_id=0c1f7a2e-55aa-4b1e-9f0e-3f1f7a2e55aa number={}"
STREAMS = 100
SETTLE_S, FOLLOW_S = 3.0, 10.0


def ingest(store: EmbeddedLogStore, lines: int) -> float:
    """One stream gets half of the lines, 99 others the rest. Lines per second of one core."""
    cpu, now = time.process_time(), time.time_ns()
    for batch in range(lines // 1000):
        stream = "app:big" if batch % 2 else f"app:{batch % STREAMS}"
        entries = [
            Entry(now + n, "app", "web.1", "info", MESSAGE.format(n)) for n in range(batch * 1000, batch * 1000 + 1000)
        ]
        store.append(stream, entries)
    return lines / (time.process_time() - cpu)


def queries(store: EmbeddedLogStore) -> dict[str, float]:
    """Medians in milliseconds."""
    wanted = {
        "last 1,000 lines": Query(limit=1000),
        "last 1,000 lines of a level (none)": Query(limit=1000, levels=["error"]),
        "search, rare": Query(limit=1000, search="number=1001\u0000"),
        "search, frequent": Query(limit=1000, search="NUMBER=1"),
        "1,000 lines of a minute": Query(limit=1000, until_ns=time.time_ns() - 60 * 10**9),
    }
    found = {}
    for name, query in wanted.items():
        times = []
        for _ in range(5):
            started = time.perf_counter()
            store.query("app:big", query)
            times.append((time.perf_counter() - started) * 1000)
        found[name] = median(times)
    return found


def collect(root: Path, lines: int) -> float:
    """Lines per second of one core, from conmon's file to the store. Raises RuntimeError when one is missing."""
    stamp = "2026-01-02T03:04:05.000000006+00:00 stdout F "
    rates = []
    for number in range(5):
        spool = root / f"spool-{number}"
        spool.mkdir()
        (spool / "c.log").write_text("".join(f"{stamp}{MESSAGE.format(n)}\n" for n in range(lines)))
        store = EmbeddedLogStore(root / f"collected-{number}")
        collector = Collector(
            store=store,
            spool=spool,
            describe=lambda _id: LogTarget(("app:a",), "app", "web.1"),
            gone=lambda _id: False,
            burst_bytes=10**12,
        )
        cpu = time.process_time()
        collector.sweep()
        rates.append(lines / (time.process_time() - cpu))
        last = store.query("app:a", Query(limit=1)).lines[0].entry.message
        if last != MESSAGE.format(lines - 1):
            raise RuntimeError(f"lines are missing; the last one is {last!r}")
    return median(rates)


PRINTER = """
import http.server, os, threading, time
def chatter():
    began, number = time.monotonic(), 0
    while True:
        print(time.time_ns(), "line", number, "of an app that prints a thousand lines a second", flush=True)
        number += 1
        time.sleep(max(0.0, began + number / 1000 - time.monotonic()))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"good")
    def log_message(self, *_): pass
threading.Thread(target=chatter, daemon=True).start()
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def printed_to_shown(directory: Path) -> tuple[list[float], float, int]:
    """Milliseconds from print to the client of the event stream, through the router; lines per second; lines lost."""
    files = {"server.py": PRINTER, "requirements.txt": "", "Procfile": "web: python server.py\n"}
    with GitHttpServer(directory / "repositories") as git, site(directory) as running:
        client = running.register("ada")
        git.make("printer", files)
        client.create("printer", git.url("printer"))
        client.deployed("printer")
        delays: list[float] = []
        numbers: list[int] = []
        headers = {"Authorization": f"Bearer {client.token}", "X-Organization-Id": client.organization_id}
        url = f"{running.url}/api/paas/apps/printer/logs/stream?source=app"
        with running.http.stream("GET", url, headers=headers) as stream:
            began = 0.0
            for line in stream.iter_lines():
                if not line.startswith("data: ") or "line" not in line:
                    continue
                arrived = time.time_ns()
                printed, _, number = json.loads(line[6:])["message"].split()[:3]
                if not began:
                    began = time.monotonic()
                if time.monotonic() - began > SETTLE_S:  # what was printed before we listened comes first
                    delays.append((arrived - int(printed)) / 1e6)
                    numbers.append(int(number))
                if time.monotonic() - began > SETTLE_S + FOLLOW_S:
                    break
    lost = numbers[-1] - numbers[0] + 1 - len(numbers)
    return delays, len(numbers) / FOLLOW_S, lost


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as directory:
        root = Path(directory)
        append = ingest(EmbeddedLogStore(root / "logs"), int(millions * 1_000_000))
        asked = queries(EmbeddedLogStore(root / "logs"))
        collected = collect(root, 100_000)
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as directory:
        delays, rate, lost = printed_to_shown(Path(directory))
    among = f"one app among {STREAMS}, {millions:g} million lines"
    rows = [
        Row("log ingest, container's file to store, per core", collected, "lines/s", 50_000, more=True),
        Row("log store, append per core", append, "lines/s", more=True),
        Row(f"last 1,000 lines, {among}", asked["last 1,000 lines"], "ms", 100),
        Row(f"frequent word, 1,000 lines, {among}", asked["search, frequent"], "ms"),
        Row(
            "line printed → shown by an SSE client, p95", percentile(delays, 95), "ms", 150, note=f"{rate:,.0f} lines/s"
        ),
        Row("lines lost on that way", lost, "lines", 0),
    ]
    detail = {"queries, ms": asked, "printed → shown, ms": {p: percentile(delays, p) for p in (50, 95, 99, 100)}}
    publish("logs", rows, detail=detail)


if __name__ == "__main__":
    main()
