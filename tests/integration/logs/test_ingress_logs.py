"""The access logs of ingress nodes: a real server on the node, real files, a real store."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ingress_node import TOKEN, IngressNode, line

from skypanel.drivers.edge_access import EdgeAccess, Piece, Place
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Query
from skypanel.drivers.router import accesslog
from skypanel.drivers.router.traefik.processes import start_time
from skypanel.kit.secret import Secret
from skypanel.logs.ingress import IngressLog, IngressLogs, Node

Make = Callable[..., IngressNode]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[IngressNode] = []

    def node(name: str = "m1", **limits: int) -> IngressNode:
        made.append(IngressNode(tmp_path / name, name, **limits))
        return made[-1]

    yield node
    for each in made:
        each.stop()


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def puller(node: IngressNode, store: EmbeddedLogStore, *, leads: Callable[[], bool] = lambda: True) -> IngressLog:
    """That does not wait for lines."""
    return IngressLog(
        store, node.name, lambda place: node.access.read(place, hold_s=0),
        parse=accesslog.parse, render=accesslog.render, leads=leads,
    )  # fmt: skip


def pull_all(log: IngressLog, times: int = 200) -> None:
    still = 0
    for _ in range(times):
        still = 0 if log.step() else still + 1
        if still == 3:  # it may have been told twice where to go on
            return


def numbers(store: EmbeddedLogStore, app: str = "a") -> list[int]:
    found = [each.entry.message for each in store.query(f"app:{app}", Query(limit=1_000_000)).lines]
    return [int(re.search(r'path="/(\d+)"', message)[1]) for message in found]  # type: ignore[index]


def wait_for(look: Callable[[], Any], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_router_line_looks_as_on_one_machine(make: Make, store: EmbeddedLogStore) -> None:
    node = make()
    node.write(line(1))
    pull_all(puller(node, store))
    entry = store.query("app:a", Query()).lines[0].entry
    assert (entry.ts_ns, entry.source, entry.replica, entry.level) == (
        1_767_323_045_000_000_006, "router", "router", "info",
    )  # fmt: skip
    assert entry.message == accesslog.render(accesslog.parse(line(1)))  # type: ignore[arg-type]


def test_only_whole_lines_are_told_and_a_new_one_ends_the_wait(make: Make) -> None:
    node = make()
    edge = EdgeAccess(TOKEN)
    node.write(line(1), line(2)[:20])
    begin = edge.read("127.0.0.1", node.node.port, None)
    assert begin is not None
    assert (begin.lines, begin.start) == (b"", begin.next)
    piece = edge.read("127.0.0.1", node.node.port, begin.next)
    assert piece == Piece(begin.start, line(1), begin.start._replace(offset=len(line(1))))
    threading.Timer(0.3, node.write, [line(2)[20:]]).start()
    began = time.monotonic()
    second = edge.read("127.0.0.1", node.node.port, piece.next)
    assert second is not None
    assert second.lines == line(2)
    assert 0.2 < time.monotonic() - began < 5
    assert node.access.read(second.next, hold_s=0.01) is None


def test_a_piece_is_bounded_and_a_line_without_end_keeps_nobody_waiting(make: Make, store: EmbeddedLogStore) -> None:
    node = make(piece_bytes=1000)
    node.write(*[line(number) for number in range(20)], line(99, path="/" + "x" * 5000), line(20))
    begin = node.access.read(None, hold_s=0)
    assert begin is not None
    piece = node.access.read(begin.next, hold_s=0)
    assert piece is not None
    assert 0 < len(piece.lines) <= 1000
    pull_all(puller(node, store))
    assert numbers(store) == list(range(21))


@pytest.mark.parametrize("token", ["a token of the cluste", "a token of the cluster2"])
def test_whoever_has_another_token_is_told_nothing(make: Make, token: str) -> None:
    node = make()
    node.write(line(1))
    url = f"http://127.0.0.1:{node.node.port}/access"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code == 404
    assert "a.test" not in answer.text
    assert httpx.get(url, trust_env=False).status_code == 404
    with pytest.raises(OSError, match="404"):
        EdgeAccess(Secret(token)).read("127.0.0.1", node.node.port, None)


@pytest.mark.parametrize(
    "query", ["generation=1.00000000", "offset=0", "generation=../x&offset=0", "generation=1.00000000&offset=-1"]
)
def test_a_place_that_is_none_is_refused(make: Make, query: str) -> None:
    url = f"http://127.0.0.1:{make().node.port}/access?{query}"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN.reveal()}"}, trust_env=False)
    assert answer.status_code == 400


def test_rotation_loses_and_repeats_nothing_and_fetched_files_go(make: Make, store: EmbeddedLogStore) -> None:
    node = make(rotate_bytes=2000)
    log = puller(node, store)
    for number in range(300):
        node.write(line(number))
        if number % 3 == 0:
            node.access.look()
        if number % 40 == 0:  # some files get full meanwhile
            pull_all(log)
    pull_all(log)
    assert numbers(store) == list(range(300))
    assert node.full() == []
    assert sum(len(store.marks(stream)) for stream in ("app:a", "router:access")) == 2


def test_a_node_that_starts_again_goes_on_with_the_same_places(make: Make, store: EmbeddedLogStore) -> None:
    node = make(rotate_bytes=2000)
    for number in range(100):
        node.write(line(number))
        if number % 10 == 0:
            node.access.look()
            puller(node, store).step()
            node.stop()
            node.start()
    pull_all(puller(node, store))
    assert numbers(store) == list(range(100))


@pytest.mark.parametrize("step", ["rename", "create_log", "write"])
def test_a_rotation_that_was_broken_off_anywhere_loses_and_repeats_nothing(
    make: Make, store: EmbeddedLogStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    node = make(rotate_bytes=2000)
    for number in range(20):
        node.write(line(number))
    log = puller(node, store)
    log.step()
    log.step()

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        if step == "rename":
            patch.setattr(Path, "rename", killed)
        elif step == "create_log":
            patch.setattr("skypanel.drivers.router.traefik.command.create_log", killed)
        else:
            patch.setattr("skypanel.edge.access.write", killed)
        node.access.look()
    node.stop()
    node.start()
    node.access.look()
    for number in range(20, 30):
        node.write(line(number))
    pull_all(log)
    assert numbers(store) == list(range(30))


def test_a_file_that_was_cut_repeats_nothing(make: Make, store: EmbeddedLogStore) -> None:
    """By an operator, say, or a power cut."""
    node = make()
    node.write(*[line(number) for number in range(10)])
    log = puller(node, store)
    pull_all(log)
    os.truncate(node.file, 3 * len(line(1)))
    pull_all(log)
    node.write(line(10))
    pull_all(puller(node, store))
    assert numbers(store) == list(range(11))


HOLDING = """
import signal, sys
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
with open(sys.argv[1], "ab", buffering=0) as file:
    print("open", flush=True)
    for line in sys.stdin.buffer:
        file.write(line)
        print("written", flush=True)
"""


def test_a_file_is_not_done_with_while_a_traefik_may_write_to_it(make: Make, store: EmbeddedLogStore) -> None:
    """One that is on its way out writes for seconds where it always wrote."""
    node = make(rotate_bytes=100)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(node.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as old:
        assert old.stdin is not None
        assert old.stdout is not None
        old.stdout.readline()
        state = {"launchers": [], "traefiks": [(old.pid, start_time(old.pid))]}
        (node.directory / "launcher.json").write_text(json.dumps(state))
        node.write(line(0), line(1))
        node.access.look()
        node.write(line(3))
        log = puller(node, store)
        pull_all(log)
        assert numbers(store) == [0, 1]
        old.stdin.write(line(2))
        old.stdin.flush()
        old.stdout.readline()
        pull_all(log)
        assert numbers(store) == [0, 1, 2]
    pull_all(log)
    assert numbers(store) == [0, 1, 2, 3]


def crashing(store: EmbeddedLogStore, monkeypatch: pytest.MonkeyPatch, at: int, *, before: bool) -> None:
    """The process ends at the `at`-th append."""
    real, calls = store.append_marked, [0]

    def append_marked(*arguments: Any, **options: Any) -> None:
        calls[0] += 1
        if calls[0] == at and before:
            raise Killed
        real(*arguments, **options)
        if calls[0] == at:
            raise Killed

    monkeypatch.setattr(store, "append_marked", append_marked)


@pytest.mark.parametrize("before", [True, False])
def test_a_worker_killed_at_any_step_stores_each_line_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, before: bool
) -> None:
    """Each attempt gets one append further than the one before it, then is killed; files get full meanwhile."""
    monkeypatch.setattr("skypanel.logs.ingress.CHECKPOINT_BYTES", 1500)
    node = make(rotate_bytes=3000, piece_bytes=1000)
    count, kills = 0, 0
    while kills < 120:
        for _ in range(3):
            node.write(line(count, app="a" if count % 2 else "b"))
            count += 1
        node.access.look()
        store = EmbeddedLogStore(tmp_path / "logs", segment_bytes=5000)
        crashing(store, monkeypatch, 1 + kills % 5, before=before)
        with contextlib.suppress(Killed):
            pull_all(puller(node, store))
        kills += 1
        store.close()
    store = EmbeddedLogStore(tmp_path / "logs", segment_bytes=5000)
    pull_all(puller(node, store))
    assert numbers(store, "a") == list(range(1, count, 2))
    assert numbers(store, "b") == list(range(0, count, 2))
    assert node.full() == []
    assert caplog.text == "", "nothing was called missing"
    store.close()


def test_a_worker_really_killed_while_files_get_full_stores_each_line_once(make: Make, tmp_path: Path) -> None:
    node, logs, count = make(rotate_bytes=100_000), tmp_path / "logs", [0]
    over = threading.Event()

    def visitors() -> None:
        while not over.wait(0.01):
            node.write(*[line(number) for number in range(count[0], count[0] + 50)])
            count[0] += 50
            node.access.look()

    thread = threading.Thread(target=visitors)
    thread.start()
    command = [sys.executable, str(Path(__file__).parent / "pull_numbered.py"), str(node.node.port), str(logs)]
    chance = random.Random(7)
    try:
        for _ in range(8):
            before = stored(logs)
            with subprocess.Popen([*command, TOKEN.reveal()], stdin=subprocess.PIPE) as worker:
                wait_for(lambda before=before: stored(logs) > before + 10_000)
                time.sleep(chance.random() * 0.3)
                worker.send_signal(signal.SIGKILL)
    finally:
        over.set()
        thread.join()
    store = EmbeddedLogStore(logs)
    pull_all(puller(node, store))
    assert numbers(store) == list(range(count[0]))
    assert node.full() == []
    store.close()


def stored(logs: Path) -> int:
    return sum(path.stat().st_size for path in logs.glob("app.a/*.log"))


def test_the_disk_of_a_node_that_nobody_asks_stays_bounded(
    make: Make, store: EmbeddedLogStore, caplog: pytest.LogCaptureFixture
) -> None:
    node = make(rotate_bytes=10_000, kept_bytes=33_000)
    log = puller(node, store)
    node.write(line(0))
    pull_all(log)
    count = 1
    with caplog.at_level(logging.WARNING):
        while count < 1000:
            node.write(line(count))
            count += 1
            node.access.look()
            assert sum(path.stat().st_size for path in node.directory.glob("access.log*")) < 45_000
        assert [each.message for each in caplog.records if "nobody fetches" in each.message] == [
            "nobody fetches the access log, and there is no room: its oldest lines are dropped"
        ]
        pull_all(log)
        pull_all(log)
    found = numbers(store)
    assert found[0] == 0
    assert found[1:] == list(range(found[1], count)), "what there was room for, each once"
    assert f"{found[1] - 1} lines of the access log were dropped" in caplog.text
    assert "lines of the router of m1 are missing" in caplog.text


def test_what_was_fetched_already_is_dropped_without_a_word(
    make: Make, store: EmbeddedLogStore, caplog: pytest.LogCaptureFixture
) -> None:
    node = make(rotate_bytes=10_000, kept_bytes=5_000)
    node.write(*[line(number) for number in range(100)])
    log = puller(node, store)
    pull_all(log)
    log.step()
    with caplog.at_level(logging.WARNING):
        node.access.look()
    assert node.full() == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    "path",
    [
        '/","RouterName":"app-b@file","x":"',
        '/"}\n{"RouterName":"app-b@file","StartUTC":"2026-01-02T03:04:05Z"}\n',
        "/\x00\x01200 - -\n0000000000000000009 re router forged",
        "/?app-b@file",
    ],
)
def test_a_visitor_cannot_write_into_another_apps_log(make: Make, store: EmbeddedLogStore, path: str) -> None:
    node = make()
    node.write(line(1, path=path))
    pull_all(puller(node, store))
    assert store.query("app:b", Query()).lines == []
    assert len(store.query("app:a", Query()).lines) == 1


def test_lines_that_no_router_writes_are_left_out(make: Make, store: EmbeddedLogStore) -> None:
    node = make()
    for name in ("app-../../x@file", "app-a/b@file", "platform@file", "app-@file"):
        node.write(line(5).replace(b"app-a@file", name.encode()))
    node.write(line(6).replace(b"2026-", b"1026-"), line(7).replace(b"2026-", b"9999-"), b"\xff\n\n", line(8))
    pull_all(puller(node, store))
    assert numbers(store) == [8]
    assert {path.name for path in (store._root).iterdir()} == {"app.a", "router.access", ".turn"}


def test_who_no_longer_leads_stores_nothing(make: Make, store: EmbeddedLogStore) -> None:
    node, leading = make(), [True]
    log = puller(node, store, leads=lambda: leading[0])
    pull_all(log)
    node.write(line(1))
    leading[0] = False
    assert log.step() == 0
    other = puller(node, store)
    pull_all(other)
    assert numbers(store) == [1]
    leading[0] = True  # one that did not know
    pull_all(log)
    assert numbers(store) == [1]


def following(store: EmbeddedLogStore, nodes: Callable[[], list[Node]]) -> IngressLogs:
    return IngressLogs(
        store, EdgeAccess(TOKEN), nodes=nodes, parse=accesslog.parse, render=accesslog.render, leads=lambda: True
    )


def test_a_node_that_is_dead_keeps_no_other_waiting(make: Make, store: EmbeddedLogStore) -> None:
    first, second = make("m1"), make("m2")
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and never answers
        silent, refusing = Node("m3", "127.0.0.1", mute.getsockname()[1]), Node("m4", "127.0.0.1", 1)
        live = [refusing, silent, first.node, second.node]
        logs = following(store, lambda: live)
        began = time.monotonic()
        logs.look()
        logs.look()
        assert time.monotonic() - began < 1
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("access-m")]
        assert sorted(names) == ["access-m1", "access-m2", "access-m3", "access-m4"], "one thread a node"
        first.write(line(1))
        second.write(line(2))
        wait_for(lambda: sorted(numbers(store)) == [1, 2], 5)
        first.stop()
        second.write(line(3))
        wait_for(lambda: sorted(numbers(store)) == [1, 2, 3], 5)
        first.write(line(4))
        first.start()  # elsewhere
        live[2] = first.node
        wait_for(lambda: logs.look() or sorted(numbers(store)) == [1, 2, 3, 4], 20)
        logs.stop()


def test_a_busy_node_is_not_asked_for_each_line(make: Make, store: EmbeddedLogStore) -> None:
    node, asked = make(), [0]
    real = node.access.read

    def read(*arguments: Any, **options: Any) -> Piece | None:
        asked[0] += 1
        return real(*arguments, **options)

    node.access.read = read  # type: ignore[method-assign]
    logs = following(store, lambda: [node.node])
    logs.look()
    wait_for(lambda: asked[0] == 2)  # told where to begin, it waits for a line
    for number in range(200):
        node.write(line(number))
        time.sleep(0.005)
    wait_for(lambda: numbers(store) == list(range(200)), 10)
    assert asked[0] < 20
    logs.stop()


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place("17.00c0ffee", 123)
    assert Place.parse(str(place)) == place
    for wrong in ("", "-", "17:1", "17.00c0ffee:", "17.00c0ffee:1 ", "x.00c0ffee:1"):
        with pytest.raises(ValueError, match="no place"):
            Place.parse(wrong)
