from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from skypanel.worker.work import Worker


class Waiting:
    """Stands for the engine, the monitor and the collector: runs until it is stopped."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.grace_s: float | None = None

    def run(self) -> None:
        assert self.over.wait(20)

    def stop(self, grace_s: float = 0) -> None:
        self.grace_s = grace_s
        self.over.set()


class Breaking(Waiting):
    def run(self) -> None:
        raise KeyError("unforeseen")


class Ending(Waiting):
    def run(self) -> None:
        """Ends as if there were nothing to do."""


NODES: Any = SimpleNamespace(look=lambda: None, wait=lambda: None)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("thread", [Breaking, Ending])
def test_a_thread_that_ends_by_itself_takes_the_worker_down(
    thread: type[Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skypanel.worker.work.reconcile", lambda _platform: SimpleNamespace(mended=0, removed=0))
    runtime = SimpleNamespace(prepare=lambda: None, wait_for_exits=lambda _s: threading.Event().wait(0.01) or ())
    platform: Any = SimpleNamespace(runtime=runtime)
    engine: Any = Waiting()
    monitor: Any = thread()
    with pytest.raises(SystemExit, match="monitor"):
        Worker(platform, engine, monitor, Waiting(), 0.01, NODES).run()


def test_the_worker_ends_when_what_it_works_with_is_gone() -> None:
    """Also one that only waits for the lead: it could not do anything with it."""
    platform: Any = SimpleNamespace(runtime=SimpleNamespace(prepare=lambda: None))
    engine: Any = Waiting()
    monitor: Any = Waiting()
    over = threading.Event()
    follower: Any = SimpleNamespace(
        run=lambda: over.wait(20), wait=lambda s: over.wait(s) and False, held=lambda: False, stop=over.set
    )
    with pytest.raises(SystemExit, match="lifeline"):
        Worker(platform, engine, monitor, Waiting(), 0.01, NODES, follower, lifeline=lambda: None).run()
    assert engine.grace_s == 1, "jobs under way cannot end well, and others wait for them"


def test_a_worker_that_is_broken_waits_for_no_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that ask a machine that has been cut off."""
    never = threading.Event()
    monkeypatch.setattr("skypanel.worker.work.reconcile", lambda _platform: never.wait(20))
    runtime = SimpleNamespace(prepare=lambda: None, wait_for_exits=lambda _s: never.wait(20) or ())
    platform: Any = SimpleNamespace(runtime=runtime)
    engine: Any = Waiting()
    monitor: Any = Ending()
    begun = time.monotonic()
    with pytest.raises(SystemExit, match="monitor"):
        Worker(platform, engine, monitor, Waiting(), 0.01, NODES).run()
    assert time.monotonic() - begun < 4
    never.set()


def test_only_the_leading_worker_follows_the_ingress_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skypanel.worker.work.reconcile", lambda _platform: SimpleNamespace(mended=0, removed=0))
    runtime = SimpleNamespace(prepare=lambda: None, wait_for_exits=lambda _s: threading.Event().wait(0.01) or ())
    platform: Any = SimpleNamespace(runtime=runtime)
    leads, tried, over, looks = threading.Event(), threading.Event(), threading.Event(), list[bool]()
    engine: Any = Waiting()
    monitor: Any = Waiting()

    def wait(timeout_s: float) -> bool:
        tried.set()
        return leads.wait(0.05)

    def look() -> None:
        looks.append(leads.is_set())
        engine.stop()

    def lead() -> None:
        assert tried.wait(10)
        leads.set()

    leadership: Any = SimpleNamespace(run=lead, wait=wait, held=leads.is_set, stop=lambda: None)
    ingress: Any = SimpleNamespace(look=look, stop=over.set)
    Worker(platform, engine, monitor, Waiting(), 0.01, NODES, leadership, ingress=ingress).run()
    assert looks == [True]
    assert over.is_set()
