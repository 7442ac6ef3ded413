from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Line

CONTAINERS = ("one", "two")
LINES = 100_000  # of each
STAMP = "2026-01-02T03:04:05.000000006+00:00 stdout"


def _print(spool: Path, container_id: str) -> None:
    """As conmon does: whole lines and, now and then, one in pieces."""
    with (spool / f"{container_id}.log").open("ab", buffering=0) as file:
        for start in range(0, LINES, 500):
            text = "".join(
                f"{STAMP} F {number}\n"
                if number % 10
                else f"{STAMP} P {str(number)[:1]}\n{STAMP} F {str(number)[1:]}\n"
                for number in range(start, start + 500)
            ).encode()
            middle = len(text) * 2 // 3 + start % 7
            file.write(text[:middle])
            time.sleep(0.002)
            file.write(text[middle:])


def _numbers(store: EmbeddedLogStore, stream: str) -> list[int]:
    numbers = []
    position = store.position(stream, "0" * 20)
    while True:
        chunk = store.read(stream, position)
        numbers += [int(line.entry.message) for line in chunk.lines]
        if not chunk.lines and not chunk.more:
            return numbers
        position = chunk.position


def _wait_for(store: EmbeddedLogStore, stream: str, count: int) -> None:
    position = "0" * 20
    for _ in range(600):
        chunk = store.read(stream, position)
        position, count = chunk.position, count - len(chunk.lines)
        if count <= 0:
            return
        if not chunk.lines:
            time.sleep(0.1)


def _seen_by_a_follower(root: Path, stop: threading.Event, seen: list[Line]) -> None:
    follower = EmbeddedLogStore(root)
    for line in follower.follow("run:one", _from_the_start(), stop=stop.is_set):
        if line is not None:
            seen.append(line)
    follower.close()


def _from_the_start():  # type: ignore[no-untyped-def]
    from skypanel.drivers.logstore.port import Query

    return Query(after="0" * 20)


def test_a_killed_collector_loses_nothing_and_repeats_nothing(spool: Path, tmp_path: Path) -> None:
    root = tmp_path / "logs"
    command = [sys.executable, str(Path(__file__).parent / "collect_numbered.py"), str(spool), str(root)]
    chance = random.Random(7)
    printers = [threading.Thread(target=_print, args=(spool, container_id)) for container_id in CONTAINERS]
    stop, seen = threading.Event(), list[Line]()
    follower = threading.Thread(target=_seen_by_a_follower, args=(root, stop, seen))
    for thread in (*printers, follower):
        thread.start()
    kills = 0
    while any(printer.is_alive() for printer in printers) or kills < 5:
        collector = subprocess.Popen(command)
        time.sleep(0.4 + chance.random() * 0.5)
        collector.send_signal(signal.SIGKILL)
        collector.wait()
        kills += 1
    collector = subprocess.Popen(command)
    store = EmbeddedLogStore(root)
    expected = list(range(LINES))
    try:
        for stream, count in {"app:a": 2 * LINES, "run:one": LINES, "run:two": LINES}.items():
            _wait_for(store, stream, count)
    finally:
        collector.kill()
        collector.wait()
        for _ in range(100):
            if len(seen) >= LINES:
                break
            time.sleep(0.1)
        stop.set()
        follower.join()
    for container_id in CONTAINERS:
        assert _numbers(store, f"run:{container_id}") == expected
    both = _numbers(store, "app:a")
    assert sorted(both) == sorted(itertools.chain(expected, expected))
    assert [int(line.entry.message) for line in seen] == expected
    store.close()
