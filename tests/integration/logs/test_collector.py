from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Query
from skypanel.logs.collector import Collector, LogTarget

STAMP = b"2026-01-02T03:04:05.000000006+00:00 stdout "
MakeCollector = Callable[..., Collector]


def k8s(*texts: bytes, flag: bytes = b"F") -> bytes:
    return b"".join(STAMP + flag + b" " + text + b"\n" for text in texts)


def messages(store: EmbeddedLogStore, stream: str = "app:a") -> list[str]:
    return [line.entry.message for line in store.query(stream, Query(limit=5000)).lines]


def test_lines_arrive_with_time_replica_and_level(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    (spool / "c1.log").write_bytes(k8s(b"hello", b"ERROR boom\r"))
    make_collector().sweep()
    entries = [line.entry for line in store.query("app:a", Query()).lines]
    assert [(e.ts_ns, e.source, e.replica, e.level, e.message) for e in entries] == [
        (1_767_323_045_000_000_006, "app", "web.1", "info", "hello"),
        (1_767_323_045_000_000_006, "app", "web.1", "error", "ERROR boom"),
    ]


def test_hostile_lines_come_through_as_they_are(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    big = b"x" * 1_000_000
    (spool / "c1.log").write_bytes(
        k8s(b"nul \x00 here", b"bad \xff\xfe utf8", b"\x1b[31mred\x1b[0m", b"<script>alert(1)</script>", b"\x0112 a b")
        + k8s(*[big[at : at + 8000] for at in range(0, len(big), 8000)], flag=b"P")
        + k8s(b"", b"0000000000000000009 ae web.9 forged", "line\u2028separator".encode())
    )
    make_collector().sweep()
    found = messages(store)
    assert found[:5] == [
        "nul \x00 here",
        "bad \ufffd\ufffd utf8",
        "\x1b[31mred\x1b[0m",
        "<script>alert(1)</script>",
        "\x0112 a b",
    ]
    assert "".join(found[5:-2]) == big.decode()
    assert found[-2:] == ["0000000000000000009 ae web.9 forged", "line\u2028separator"]


def test_plain_files_are_stamped_when_read(spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector) -> None:
    target = LogTarget(("app:a",), "app", "web.1", log_format="plain")
    (spool / "c1.log").write_bytes(b"one\n" + b"y" * 600_000 + b"\n\nhalf")
    collector = make_collector(describe=lambda _id: target, now_ns=lambda: 42)
    collector.sweep()
    found = messages(store)
    assert found[0] == "one"
    assert "".join(found[1:-1]) == "y" * 600_000
    assert found[-1] == ""
    assert store.query("app:a", Query(limit=1)).lines[0].entry.ts_ns == 42


def test_a_new_collector_goes_on_where_the_last_one_was(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    with (spool / "c1.log").open("ab", buffering=0) as file:
        file.write(k8s(b"1", b"2") + k8s(b"3 begins ", flag=b"P"))
        make_collector().sweep()
        file.write(k8s(b"and ends", b"4"))
        make_collector().sweep()
        make_collector().sweep()
    assert messages(store) == ["1", "2", "3 begins and ends", "4"]


def test_rotation_and_truncation_lose_nothing(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    log = spool / "c1.log"
    collector = make_collector()
    log.write_bytes(k8s(b"1"))
    collector.sweep()
    with log.open("ab") as file:
        file.write(k8s(b"2"))
    fresh = spool / "fresh.tmp"
    fresh.write_bytes(k8s(b"3"))
    fresh.rename(log)
    collector.sweep()
    assert messages(store) == ["1", "2", "3"]
    log.write_bytes(STAMP.replace(b"05.0", b"06.0") + b"F 4 in a file that begins anew and is longer than before\n")
    collector.sweep()
    assert messages(store)[3:] == ["4 in a file that begins anew and is longer than before"]
    assert len(store.marks("app:a")) == 1


def test_a_rotation_that_nobody_saw_is_said(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    (spool / "c1.log").write_bytes(k8s(b"1"))
    make_collector().sweep()
    (spool / "fresh.tmp").write_bytes(k8s(b"3"))
    (spool / "fresh.tmp").rename(spool / "c1.log")
    make_collector().sweep()
    found = messages(store)
    assert found[0] == "1"
    assert "may be missing" in found[1]
    assert found[2:] == ["3"]


def test_the_file_of_a_gone_container_is_read_to_its_end_and_removed(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    gone: set[str] = set()
    collector = make_collector(gone=lambda container_id: container_id in gone)
    log = spool / "c1.log"
    log.write_bytes(k8s(b"1") + k8s(b"unfinished", flag=b"P"))
    collector.sweep()
    with log.open("ab") as file:
        file.write(k8s(b" but whole") + k8s(b"2") + k8s(b"last words", flag=b"P"))
    gone.add("c1")
    collector.sweep()
    assert messages(store) == ["1", "unfinished but whole", "2", "last words"]
    assert list(spool.iterdir()) == []
    assert store.marks("app:a") == {}


def test_a_container_the_runtime_has_forgotten_is_still_read(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    (spool / "c1.log").write_bytes(k8s(b"1"))
    make_collector().sweep()
    with (spool / "c1.log").open("ab") as file:
        file.write(k8s(b"2"))
    make_collector(describe=lambda _id: None, gone=lambda _id: True).sweep()
    assert messages(store) == ["1", "2"]
    assert list(spool.iterdir()) == []


def test_a_file_that_nobody_describes_waits(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    (spool / "c1.log").write_bytes(k8s(b"1"))
    known: list[LogTarget] = []
    collector = make_collector(describe=lambda _id: known[0] if known else None)
    collector.sweep()
    assert messages(store) == []
    known.append(LogTarget(("app:a",), "app", "web.1"))
    collector.sweep()
    assert messages(store) == ["1"]


def test_only_an_app_beyond_the_limit_loses_lines_and_is_told(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    targets = {"c1": LogTarget(("app:a",), "app", "web.1"), "c2": LogTarget(("app:b",), "app", "web.1")}
    collector = make_collector(describe=targets.get, bytes_per_s=1_000_000, burst_bytes=2000, monotonic=lambda: 0.0)
    (spool / "c1.log").write_bytes(k8s(b"kept"))
    (spool / "c2.log").write_bytes(k8s(b"kept too"))
    collector.sweep()
    with (spool / "c1.log").open("ab") as file:
        file.write(k8s(*[b"flood"] * 100))
    collector.sweep()
    assert messages(store)[0] == "kept"
    assert messages(store)[1].startswith("100 lines of web.1 were dropped")
    assert len(messages(store)) == 2
    assert messages(store, "app:b") == ["kept too"]


def test_a_full_disk_delays_and_loses_nothing(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("skypanel.logs.collector.BACK_OFF_S", 0.01)
    failures = [OSError(28, "No space left on device")] * 2
    real = store.append_marked

    def full(*args: object, **options: object) -> None:
        if failures:
            raise failures.pop()
        real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "append_marked", full)
    (spool / "c1.log").write_bytes(k8s(b"1", b"2"))
    arrived = threading.Event()
    unsubscribe = store.subscribe("app:a", lambda: arrived.set() if messages(store) else None)
    collector = make_collector()
    thread = threading.Thread(target=collector.run)
    with caplog.at_level(logging.WARNING):
        thread.start()
        assert arrived.wait(20)
    collector.stop()
    thread.join(10)
    unsubscribe()
    assert messages(store) == ["1", "2"]
    assert "No space left" in caplog.text


@pytest.mark.parametrize("inotify", [True, False])
def test_new_lines_wake_a_running_collector(
    spool: Path, store: EmbeddedLogStore, make_collector: MakeCollector, inotify: bool
) -> None:
    collector = make_collector(inotify=inotify)
    thread = threading.Thread(target=collector.run)
    thread.start()
    arrived = threading.Event()
    unsubscribe = store.subscribe("app:a", lambda: arrived.set() if "late" in messages(store) else None)
    with (spool / "c9.log").open("ab", buffering=0) as file:
        file.write(k8s(b"early"))
        file.write(k8s(b"late"))
        assert arrived.wait(10)
    collector.stop()
    thread.join(10)
    unsubscribe()
    assert not thread.is_alive()


@dataclass(frozen=True)
class Access:
    ts_ns: int
    app_id: str | None
    status: int


def parse(line: bytes) -> Access | None:
    ts, app_id, status = line.split()
    return Access(int(ts), app_id.decode() if app_id != b"-" else None, int(status))


def test_the_access_log_reaches_each_app_once(
    tmp_path: Path, store: EmbeddedLogStore, make_collector: MakeCollector
) -> None:
    log = tmp_path / "router" / "access.log"
    log.parent.mkdir()
    options = {"access_log": log, "parse_access": parse, "render_access": lambda a: f"GET {a.ts_ns}"}
    with log.open("ab", buffering=0) as file:
        for number in range(100):
            file.write(f"{number} {('a', 'b', '-')[number % 3]} {(200, 404, 500)[number % 3]}\n".encode())
            if number % 30 == 0:  # killed and started again
                make_collector(**options).sweep()
    make_collector(**options).sweep()
    assert messages(store, "app:a") == [f"GET {number}" for number in range(0, 100, 3)]
    assert messages(store, "app:b") == [f"GET {number}" for number in range(1, 100, 3)]
    line = store.query("app:b", Query(limit=1)).lines[0].entry
    assert (line.source, line.replica, line.level) == ("router", "router", "warn")


def test_a_full_access_log_is_rotated_and_its_late_lines_are_kept(tmp_path: Path, store: EmbeddedLogStore) -> None:
    from skypanel.logs.access import AccessTail

    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    moment = [100.0]

    def rotate() -> None:
        log.rename(old)
        log.touch()

    tail = AccessTail(
        store,
        log,
        parse=parse,
        render=lambda a: str(a.ts_ns),
        rotate=rotate,
        rotate_bytes=20,
        monotonic=lambda: moment[0],
    )
    log.write_bytes(b"1 a 200\n2 a 200\n3 a 200\n")
    while tail.step():
        pass
    assert old.exists()
    with old.open("ab") as file:
        file.write(b"4 a 200\n")
    log.write_bytes(b"5 a 200\n")
    while tail.step():
        pass
    moment[0] += 5
    while tail.step():
        pass
    assert messages(store) == ["1", "2", "3", "4", "5"]
    tail.close()
