from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Entry, Query

STREAM = "app:a"


def entry(number: int) -> Entry:
    return Entry(number + 1, "app", "web.1", "info", f"line {number} " + "x" * 50)


def numbers(store: EmbeddedLogStore) -> list[int]:
    return [int(line.entry.message.split()[1]) for line in store.query(STREAM, Query(limit=100_000)).lines]


def active(root: Path) -> Path:
    return max((root / "app.a").glob("*.log"))


@pytest.mark.parametrize("cut", [1, 30, 70, 75, 90, 500])
def test_a_torn_append_is_never_shown_and_its_place_is_used_again(tmp_path: Path, cut: int) -> None:
    writer, reader = EmbeddedLogStore(tmp_path), EmbeddedLogStore(tmp_path)
    writer.append_marked(STREAM, [entry(0)], origin="o", mark="1")
    writer.append_marked(STREAM, [entry(number) for number in range(1, 8)], origin="o", mark="2")
    writer.close()
    os.truncate(active(tmp_path), active(tmp_path).stat().st_size - cut)
    assert numbers(reader) == [0]
    position = reader.position(STREAM, None)
    assert reader.read(STREAM, position).lines == []
    again = EmbeddedLogStore(tmp_path)
    assert again.marks(STREAM) == {"o": "1"}
    again.append_marked(STREAM, [entry(1)], origin="o", mark="2")
    assert [line.entry for line in reader.read(STREAM, position).lines] == [entry(1)]
    assert numbers(reader) == [0, 1]
    for store in (reader, again):
        store.close()


def test_the_readers_group_may_read_and_nobody_else(tmp_path: Path) -> None:
    store = EmbeddedLogStore(tmp_path / "logs", gid=os.getgid(), segment_bytes=100)
    for number in range(5):
        store.append(STREAM, [entry(number)])
    store.close()
    lock = tmp_path / "logs" / ".turn"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600, "a reader must not hold up who writes"
    for path in set((tmp_path / "logs").rglob("*")) - {lock}:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640)
        assert path.stat().st_gid == os.getgid()


def test_size_is_retained_per_stream_and_in_total(tmp_path: Path) -> None:
    store = EmbeddedLogStore(tmp_path, segment_bytes=1000)
    for number in range(200):
        store.append(STREAM, [entry(number)])
    for number in range(20):
        store.append("app:b", [Entry(10_000 + number, "app", "web.1", "info", "y" * 50)])
    before = sum(path.stat().st_size for path in tmp_path.rglob("*.log"))
    freed = store.retain(older_than_ns=0, max_bytes_per_stream=5000, max_bytes=10**9)
    after = sum(path.stat().st_size for path in tmp_path.rglob("*.log"))
    assert freed == before - after
    assert 4000 <= sum(path.stat().st_size for path in (tmp_path / "app.a").iterdir()) <= 5000
    left = numbers(store)
    assert left == list(range(left[0], 200))
    store.retain(older_than_ns=0, max_bytes_per_stream=10**9, max_bytes=3000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) <= 3000
    assert len(store.query("app:b", Query()).lines) == 20
    store.close()


def test_a_failed_write_takes_back_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedLogStore(tmp_path)
    store.append(STREAM, [entry(0)])
    real, calls = os.write, []

    def full(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(fd, bytes(data[:20]))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.append(STREAM, [entry(1)])
    monkeypatch.undo()
    store.append(STREAM, [entry(2)])
    assert numbers(store) == [0, 2]
    store.close()


def test_more_streams_than_descriptors(tmp_path: Path) -> None:
    store = EmbeddedLogStore(tmp_path, segment_bytes=300)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        store.append(f"app:{number % 7}", [entry(number)])
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    for stream in range(7):
        found = [line.entry for line in store.query(f"app:{stream}", Query()).lines]
        assert found == [entry(number) for number in range(stream, 50, 7)]
    store.close()


def test_two_writers_know_of_each_other(tmp_path: Path) -> None:
    """As two workers of a cluster: one leads and collects, any of them writes what a deployment says."""
    leader, other = EmbeddedLogStore(tmp_path, segment_bytes=1000), EmbeddedLogStore(tmp_path, segment_bytes=1000)
    other.append(STREAM, [entry(0)])
    position, seen = leader.position(STREAM, "0" * 20), list[int]()
    expected = [0]
    for number in range(1, 120):
        if number % 7:
            leader.append_marked(STREAM, [entry(number)], origin="o", mark=str(number))
        else:
            other.append(STREAM, [entry(number)])
        expected.append(number)
        chunk = leader.read(STREAM, position)
        position = chunk.position
        seen += [int(line.entry.message.split()[1]) for line in chunk.lines]
        if number == 60:  # the retention of a third
            third = EmbeddedLogStore(tmp_path, segment_bytes=1000)
            third.retain(older_than_ns=10**18, max_bytes_per_stream=10**9, max_bytes=10**9)
            third.close()
            expected = []
    assert seen == list(range(120))
    assert numbers(other) == expected
    assert other.marks(STREAM) == leader.marks(STREAM) == {"o": "118"}
    other.drop(STREAM)
    leader.append(STREAM, [entry(5)])
    assert numbers(other) == [5]
    assert leader.marks(STREAM) == {}
    for store in (leader, other):
        store.close()


def test_what_a_writer_left_half_done_is_taken_back_by_the_next(tmp_path: Path) -> None:
    one, other = EmbeddedLogStore(tmp_path), EmbeddedLogStore(tmp_path)
    one.append_marked(STREAM, [entry(0)], origin="o", mark="1")
    other.append_marked(STREAM, [entry(1)], origin="o", mark="2")
    with active(tmp_path).open("ab") as file:  # a third was killed
        file.write(b"\x01500 o 3\n0000000000000000009 ai web.1 torn")
    one.append_marked(STREAM, [entry(2)], origin="p", mark="1")
    assert numbers(other) == [0, 1, 2]
    assert one.marks(STREAM) == other.marks(STREAM) == {"o": "2", "p": "1"}
    for store in (one, other):
        store.close()


WRITING = """
import sys
from pathlib import Path
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.logstore.port import Entry
store, me = EmbeddedLogStore(Path(sys.argv[1]), segment_bytes=2000), int(sys.argv[2])
for number in range(me, 1200, 3):
    assert int(store.marks("app:a").get(f"o{me}", me - 3)) == number - 3
    line = Entry(1, "app", "web.1", "info", f"line {number}")
    store.append_marked("app:a", [line], origin=f"o{me}", mark=str(number))
"""


def test_processes_that_write_at_once_lose_and_repeat_nothing(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path), str(each)]) for each in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    store = EmbeddedLogStore(tmp_path)
    assert sorted(numbers(store)) == list(range(1200))
    assert store.marks(STREAM) == {"o0": "1197", "o1": "1198", "o2": "1199"}
    store.close()
