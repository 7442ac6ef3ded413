"""Seconds and memory of charging an hour: 1,000, 10,000 and 100,000 running applications, on SQLite and PostgreSQL.

`python -m bench.billing [most applications]`. Half of them are one organization's, each has old replicas, and the hours
before were charged already. The floor is the bare INSERT of as many usage records, by the same driver, in chunks of the
same size into a table without keys. Each figure's process is its own, so that its peak memory is.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import sqlalchemy as sa
from billing_bulk import populate
from postgres_server import postgres

from bench.report import Row, median, publish
from skypanel.billing.charge import CHUNK, Charger
from skypanel.billing.core.hours import HOUR
from skypanel.billing.models import UsageRecord
from skypanel.db import Database
from skypanel.kit.clock import FakeClock
from skypanel.manage.migrate import upgrade

SIZES = (1_000, 10_000, 100_000)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
OLD_REPLICAS = 5
HOURS = 5


def charge(url: str, size: int) -> tuple[list[float], float]:
    """Seconds of each hour after a first one, and the peak of memory in MiB."""
    with closing(Database(url)) as database:
        clock = FakeClock(BEGIN)
        charger = Charger(database, clock, "USD")
        times = []
        for number in range(HOURS + 1):
            clock.moment = BEGIN + (number + 1) * HOUR + timedelta(minutes=2)
            began = time.perf_counter()
            finished = charger.run()
            times.append(time.perf_counter() - began)
            if finished != 1:
                raise RuntimeError(f"{finished} hours were charged instead of one")
        with database.reading() as session:
            rows = session.scalar(sa.select(sa.func.count()).select_from(UsageRecord))
        if rows != size * (HOURS + 1):
            raise RuntimeError(f"{rows} records instead of {size * (HOURS + 1)}")
    return times[1:], _peak_mib()


def floor(url: str, size: int) -> tuple[list[float], float]:
    """Seconds of inserting as many rows, and nothing else."""
    bare = sa.Table(
        "bare", sa.MetaData(), *(sa.Column(c.name, c.type, nullable=True) for c in UsageRecord.__table__.columns)
    )
    values = {c.name: 1 if isinstance(c.type, sa.Integer) else "x" * 30 for c in bare.columns} | {"hour": BEGIN}
    with closing(Database(url)) as database:
        bare.create(database.engine)
        times = []
        for _ in range(HOURS):
            began = time.perf_counter()
            for first in range(0, size, CHUNK):
                with database.transaction() as session:
                    session.execute(sa.insert(bare), [values] * min(CHUNK, size - first))
            times.append(time.perf_counter() - began)
    return times, _peak_mib()


def prepare(url: str, size: int) -> tuple[list[float], float]:
    with closing(Database(url)) as database:
        upgrade(database)
        populate(
            database, apps=size, organizations=max(2, size // 20), big=size // 2, since=BEGIN, old=OLD_REPLICAS
        )  # fmt: skip
    return [], 0.0


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(what: Callable[[str, int], tuple[list[float], float]], url: str, size: int) -> tuple[list[float], float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(what, (url, size))


def measure(name: str, make: Callable[[int], str], sizes: list[int]) -> list[Row]:
    rows, medians, peaks = [], [], []
    for size in sizes:
        url = make(size)
        alone(prepare, url, size)
        times, peak = alone(charge, url, size)
        bare, _ = alone(floor, url, size)
        medians.append(median(times))
        peaks.append(peak)
        rows.append(
            Row(
                f"an hour of {size:,} running apps, {name}", medians[-1], "s", 60 if size == 100_000 else None,
                floor=median(bare), floor_name="s bare INSERT", note=f"most {max(times):.2f} s",
            )
        )  # fmt: skip
        rows.append(Row(f"peak memory of that process, {size:,} apps, {name}", peak, "MiB"))
        print(f"{name} {size:,}: {medians[-1]:.2f} s, {peak:.0f} MiB, bare {median(bare):.2f} s", flush=True)
    if len(sizes) > 1:
        ratio = sizes[-1] / sizes[-2]
        rows.append(Row(f"exponent of growth, {name}", math.log(medians[-1] / medians[-2], ratio), ""))
        rows.append(
            Row(f"memory at {sizes[-1]:,} by that at {sizes[-2]:,}, {name}", peaks[-1] / peaks[-2], "x", 1.15)
        )  # fmt: skip
    return rows


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    sizes = [size for size in SIZES if size <= most]
    with tempfile.TemporaryDirectory(prefix="skypanel-bench-") as directory:
        rows = measure("SQLite", lambda size: f"sqlite:///{Path(directory) / f'{size}.db'}", sizes)
    with postgres(buffers="128MB") as server:  # PostgreSQL's own default

        def make(size: int) -> str:
            with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE b{size}")
            return server.url(f"b{size}")

        rows += measure("PostgreSQL", make, sizes)
    publish("billing", rows)


if __name__ == "__main__":
    main()
