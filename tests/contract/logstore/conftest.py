"""The same suite over every log store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.drivers.logstore.port import Entry, LogStore

SECOND = 10**9
MakeEntry = Callable[..., Entry]


@pytest.fixture(params=["memory", "embedded", "embedded in tiny segments", "embedded without inotify"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogStore]:
    if request.param == "memory":
        yield MemoryLogStore()
        return
    segment_bytes = 500 if "tiny" in request.param else 4_194_304
    made = EmbeddedLogStore(tmp_path / "logs", segment_bytes=segment_bytes, inotify="without" not in request.param)
    yield made
    made.close()


@pytest.fixture
def entry() -> MakeEntry:
    def make(message: str, *, at: float = 1, source: str = "app", replica: str = "web.1", level: str = "info") -> Entry:
        return Entry(int(at * SECOND), source, replica, level, message)

    return make
