from __future__ import annotations

import threading

from skypanel.drivers.logstore.memory import MemoryLogStore
from skypanel.drivers.logstore.port import Query
from skypanel.kit.clock import FakeClock
from skypanel.logs.build_log import BuildLog
from skypanel.logs.system import system


def messages(store: MemoryLogStore, stream: str) -> list[str]:
    return [line.entry.message for line in store.query(stream, Query(limit=5000)).lines]


def open_log(store: MemoryLogStore, **changes: object) -> BuildLog:
    return BuildLog(store, app_id="a", deployment_id="d", clock=FakeClock(), **changes)  # type: ignore[arg-type]


def test_lines_reach_the_deployment_and_the_app() -> None:
    store = MemoryLogStore()
    log = open_log(store)
    log("-----> Building\n")
    log("one\ntwo\r\n")
    log.close()
    assert messages(store, "build:d") == messages(store, "app:a") == ["-----> Building", "one", "two"]
    entry = store.query("app:a", Query(limit=1)).lines[0].entry
    assert (entry.source, entry.replica) == ("build", "build")


def test_lines_are_seen_before_the_log_is_closed() -> None:
    store = MemoryLogStore()
    seen = threading.Event()
    store.subscribe("app:a", seen.set)
    log = open_log(store)
    log("quiet build")
    assert seen.wait(10)
    log.close()


def test_a_line_after_the_end_is_kept_too() -> None:
    store = MemoryLogStore()
    log = open_log(store)
    log.close()
    log("late")
    log.close()
    assert messages(store, "build:d") == ["late"]


def test_secrets_are_masked_line_by_line() -> None:
    store = MemoryLogStore()
    log = open_log(store, secrets=["hunter2hunter2", "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"])
    log("password=hunter2hunter2")
    log("abcdefgh")
    log.close()
    assert messages(store, "app:a") == ["password=[REDACTED]", "[REDACTED]"]


def test_a_log_beyond_its_limit_ends_with_one_notice() -> None:
    store = MemoryLogStore()
    log = open_log(store, limit_bytes=30)
    for _ in range(10):
        log("123456789")
    log.close()
    assert messages(store, "build:d") == ["123456789"] * 2 + [
        "The log is longer than 30 bytes; the rest of it is not kept."
    ]


def test_many_writers_lose_nothing() -> None:
    store = MemoryLogStore()
    log = open_log(store)
    writers = [threading.Thread(target=lambda n=n: [log(f"{n}.{i}") for i in range(300)]) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log.close()
    found = messages(store, "build:d")
    assert sorted(found) == sorted(f"{n}.{i}" for n in range(4) for i in range(300))
    assert [line for line in found if line.startswith("2.")] == [f"2.{i}" for i in range(300)]


def test_lines_of_the_platform_are_system_lines() -> None:
    store = MemoryLogStore()
    system(store, app_id="a", message="web.1 restarted: it was killed", now=FakeClock().now(), level="warn")
    entry = store.query("app:a", Query()).lines[0].entry
    assert (entry.source, entry.replica, entry.level) == ("system", "platform", "warn")
    assert entry.ts_ns == 1_767_225_600_000_000_000
