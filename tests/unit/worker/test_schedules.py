from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from skypanel.worker.handlers import QUEUES, handlers
from skypanel.worker.schedules import SCHEDULES


def test_what_happens_by_the_clock_is_known_to_the_worker() -> None:
    anything: Any = SimpleNamespace()
    known = handlers(anything, anything, anything, anything, after=lambda: None)
    for schedule in SCHEDULES:
        assert schedule.kind in known
        assert schedule.queue in QUEUES
