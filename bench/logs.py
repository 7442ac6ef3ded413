"""Figures of the embedded log store: `python bench/logs.py [million lines]`. Nothing here is a test."""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Entry, Query
from skypanel.logs.collector import Collector, LogTarget

MESSAGE = "GET /products/1234 200 in 12ms request_id=0c1f7a2e-55aa-4b1e-9f0e-3f1f7a2e55aa number={}"
STREAMS = 100


def ingest(store: EmbeddedLogStore, lines: int) -> None:
    """One stream gets half of the lines, 99 others the rest."""
    started, cpu = time.perf_counter(), time.process_time()
    now = time.time_ns()
    for batch in range(lines // 1000):
        stream = "app:big" if batch % 2 else f"app:{batch % STREAMS}"
        entries = [
            Entry(now + n, "app", "web.1", "info", MESSAGE.format(n)) for n in range(batch * 1000, batch * 1000 + 1000)
        ]
        store.append(stream, entries)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"append: {lines:,} lines, {lines / seconds:,.0f} lines/s, {lines / cpu:,.0f} lines/s of CPU")


def queries(store: EmbeddedLogStore) -> None:
    wanted = {
        "last 1,000 lines": Query(limit=1000),
        "last 1,000 lines of a level (none)": Query(limit=1000, levels=["error"]),
        "search, rare": Query(limit=1000, search="number=1001\u0000"),
        "search, frequent": Query(limit=1000, search="NUMBER=1"),
        "1,000 lines of a minute": Query(limit=1000, until_ns=time.time_ns() - 60 * 10**9),
    }
    for name, query in wanted.items():
        times = []
        for _ in range(5):
            started = time.perf_counter()
            found = len(store.query("app:big", query).lines)
            times.append((time.perf_counter() - started) * 1000)
        print(f"query {name}: {statistics.median(times):.1f} ms ({found} lines)")


def collect(root: Path, lines: int) -> None:
    spool = root / "spool"
    spool.mkdir()
    stamp = "2026-01-02T03:04:05.000000006+00:00 stdout F "
    (spool / "c.log").write_text("".join(f"{stamp}{MESSAGE.format(n)}\n" for n in range(lines)))
    store = EmbeddedLogStore(root / "collected")
    collector = Collector(
        store=store, spool=spool, describe=lambda _id: LogTarget(("app:a",), "app", "web.1"), gone=lambda _id: False,
        burst_bytes=10**12,
    )  # fmt: skip
    cpu = time.process_time()
    collector.sweep()
    print(f"collect: {lines / (time.process_time() - cpu):,.0f} lines/s of CPU, from conmon's file to the store")


def latency(root: Path) -> None:
    """1,000 lines/s into a container's file until a follower in this process has them."""
    spool = root / "live"
    spool.mkdir()
    store, reader = EmbeddedLogStore(root / "followed"), EmbeddedLogStore(root / "followed")
    collector = Collector(
        store=store, spool=spool, describe=lambda _id: LogTarget(("app:a",), "app", "web.1"), gone=lambda _id: False
    )
    threading.Thread(target=collector.run, daemon=True).start()
    delays: list[float] = []

    def read() -> None:
        for line in reader.follow("app:a", Query(after="0" * 20), stop=lambda: len(delays) >= 5000):
            if line is not None:
                delays.append((time.time_ns() - int(line.entry.message)) / 1e6)

    follower = threading.Thread(target=read)
    follower.start()
    stamp = "2026-01-02T03:04:05.000000006+00:00 stdout F "
    with (spool / "c.log").open("ab", buffering=0) as file:
        for number in range(5000):
            file.write(f"{stamp}{time.time_ns()}\n".encode())
            time.sleep(0.001 if number % 10 else 0.0005)
    follower.join(10)
    collector.stop()
    delays.sort()
    print(
        f"printed -> followed at ~1,000 lines/s: p50 {delays[len(delays) // 2]:.0f} ms, "
        f"p95 {delays[len(delays) * 95 // 100]:.0f} ms"
    )


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        store = EmbeddedLogStore(root / "logs")
        ingest(store, int(millions * 1_000_000))
        queries(EmbeddedLogStore(root / "logs"))
        collect(root, 300_000)
        latency(root)


if __name__ == "__main__":
    main()
