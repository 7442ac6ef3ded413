from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Line, LogStore, Query
from skypanel.logs.collector import Collector, LogTarget

STAMP = b"2026-01-02T03:04:05.000000006+00:00 stdout F "


def all_messages(store: LogStore, stream: str) -> list[str]:
    return [line.entry.message for line in all_lines(store, stream)]


def all_lines(store: LogStore, stream: str) -> list[Line]:
    lines: list[Line] = []
    after = "0" * 20
    while page := store.query(stream, Query(after=after, limit=5000)).lines:
        lines += page
        after = page[-1].cursor
    return lines


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedLogStore]:
    made = EmbeddedLogStore(tmp_path / "logs", segment_bytes=20_000)
    yield made
    made.close()


@pytest.fixture
def make_collector(spool: Path, store: EmbeddedLogStore) -> Callable[..., Collector]:
    def make(**changes: object) -> Collector:
        options: dict[str, object] = {
            "store": store,
            "spool": spool,
            "describe": lambda container_id: LogTarget(("app:a",), "app", "web.1"),
            "gone": lambda container_id: False,
        }
        return Collector(**(options | changes))  # type: ignore[arg-type]

    return make
