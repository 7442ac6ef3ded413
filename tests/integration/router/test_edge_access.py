"""The access log of a real Traefik, kept and told as on an ingress node of a cluster."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Query
from skypanel.drivers.router import accesslog
from skypanel.drivers.router.port import Route
from skypanel.drivers.router.traefik.command import reload
from skypanel.edge.access import AccessLog
from skypanel.logs.ingress import IngressLog

VISITORS = 4


@dataclass
class Visits:
    """How many were answered, of each visitor."""

    counts: list[int] = field(default_factory=lambda: [0] * VISITORS)
    slow: int = 0


@contextmanager
def visited(router: Any) -> Iterator[Visits]:
    """Visitors come while entered, and have all been answered at the end."""
    visits, over = Visits(), threading.Event()

    def visit(visitor: int) -> None:
        while not over.is_set():
            status, _ = router.get("a.test", f"/{visitor}-{visits.counts[visitor]}")
            assert status == 200
            visits.counts[visitor] += 1

    def be_slow() -> None:
        """So that a Traefik that was replaced lives on, and writes, while its file is renamed."""
        while not over.is_set():
            router.get("a.test", "/slow")
            visits.slow += 1

    threads = [threading.Thread(target=visit, args=(each,)) for each in range(VISITORS)]
    threads += [threading.Thread(target=be_slow)]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_each_request_is_told_once_while_files_get_full_and_traefik_is_replaced(
    router, replicas, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app = replicas("one")
    route = Route(key="1", name="a", hosts=("a.test",), backends=(app.backend,))
    router.driver.put(route)
    assert router.driver.confirm(route, timeout_s=5)
    directory, config = router.config.directory, router.config
    access = AccessLog(directory, uid=config.uid, gid=config.gid, rotate_bytes=20_000)
    store = EmbeddedLogStore(tmp_path / "logs")

    def puller() -> IngressLog:
        return IngressLog(
            store, "m1", lambda place: access.read(place, hold_s=0.2),
            parse=accesslog.parse, render=accesslog.render, leads=lambda: True,
        )  # fmt: skip

    with visited(router) as visits:
        rotations, replaced, began = 0, 0, time.monotonic()
        while (passed := time.monotonic() - began) < 5:
            if passed > 2 * replaced:
                reload(directory)
                replaced += 1
            full = set(directory.glob("access.log.*"))
            access.look()
            rotations += len(set(directory.glob("access.log.*")) - full)
            puller().step()
    log, still = puller(), 0
    while still < 15:  # an old Traefik ends some seconds after it was replaced
        access.look()
        still = 0 if log.step() else still + 1
    assert rotations > 3
    messages = [each.entry.message for each in store.query("app:1", Query(limit=100_000)).lines]
    paths = [re.search(r'path="/([^"]*)"', message)[1] for message in messages]  # type: ignore[index]
    expected = [f"{visitor}-{number}" for visitor, count in enumerate(visits.counts) for number in range(count)]
    assert sorted(path for path in paths if path != "slow") == sorted(expected)
    assert paths.count("slow") == visits.slow
    assert list(directory.glob("access.log.*")) == []
    assert "Traefik ended" not in capfd.readouterr().err, "one that only starts is not told to open another file"
    store.close()
