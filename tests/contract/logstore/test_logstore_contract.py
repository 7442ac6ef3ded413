from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from skypanel.drivers.logstore.port import Entry, Line, LinePage, LogStore, Query

STREAM = "app:0190-a"
SECOND = 10**9


def messages(page: LinePage) -> list[str]:
    return [line.entry.message for line in page.lines]


def fill(store: LogStore, entry: Callable[..., Entry], count: int, *, start: int = 0) -> None:
    for number in range(start, start + count):
        store.append(STREAM, [entry(f"line {number}", at=number + 1)])


def test_lines_come_back_oldest_first_as_they_were_appended(store: LogStore, entry: Any) -> None:
    entries = [
        entry("hello", source="build", replica="build", level="warn", at=5.000000001),
        entry("world", source="router"),
        entry("", source="system", level="error"),
        entry("  <b>&amp;\t\x1b[31mred\x1b[0m \x00 ünï", level="debug"),
    ]
    store.append(STREAM, entries)
    page = store.query(STREAM, Query())
    assert [line.entry for line in page.lines] == entries
    assert page.next_before is None


def test_an_unknown_stream_is_empty(store: LogStore) -> None:
    assert store.query(STREAM, Query()) == LinePage([], None)
    assert store.read(STREAM, store.position(STREAM, None)).lines == []
    assert store.marks(STREAM) == {}


def test_streams_do_not_mix(store: LogStore, entry: Any) -> None:
    store.append("app:a", [entry("of a")])
    store.append("build:a", [entry("of the build")])
    assert messages(store.query("app:a", Query())) == ["of a"]


@pytest.mark.parametrize(
    "name", ["", "app", "app:", "app:../x", "app:a/b", "app:a.b", "APP:a", "app:a\n", ":a", "a:" + "b" * 81]
)
def test_a_name_that_is_no_stream_is_refused(store: LogStore, entry: Any, name: str) -> None:
    with pytest.raises(ValueError, match="log stream"):
        store.append(name, [entry("x")])
    with pytest.raises(ValueError, match="log stream"):
        store.query(name, Query())


@pytest.mark.parametrize(
    "broken",
    [{"source": "nginx"}, {"level": "loud"}, {"replica": "web 1"}, {"replica": ""}, {"replica": "a\nb"}, {"at": -1}],
)
def test_an_entry_that_cannot_be_is_refused_whole(store: LogStore, entry: Any, broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="log entry"):
        store.append(STREAM, [entry("fine"), entry("broken", **broken)])
    assert messages(store.query(STREAM, Query())) == []


def test_newlines_make_several_lines_of_one_entry(store: LogStore, entry: Any) -> None:
    store.append(STREAM, [entry("one\n0000000000000000009 ae web.9 forged\n\x019 - -\nfour")])
    assert messages(store.query(STREAM, Query())) == ["one", "0000000000000000009 ae web.9 forged", "\x019 - -", "four"]


def test_a_very_long_line_is_kept_in_parts(store: LogStore, entry: Any) -> None:
    long = "é" * 100_000 + "x"
    store.append(STREAM, [entry(long), entry("after")])
    found = messages(store.query(STREAM, Query()))
    assert "".join(found[:-1]) == long
    assert all(len(part.encode()) <= 65_536 for part in found)


def test_lone_surrogates_do_not_break_the_stream(store: LogStore, entry: Any) -> None:
    store.append(STREAM, [entry("a\ud800b"), entry("next")])
    assert messages(store.query(STREAM, Query())) == ["a?b", "next"]


def test_pages_go_backwards_without_gaps_or_repeats(store: LogStore, entry: Any) -> None:
    fill(store, entry, 23)
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        page = store.query(STREAM, Query(limit=5, before=cursor))
        seen = messages(page) + seen
        cursor = page.next_before
        if cursor is None:
            break
    assert seen == [f"line {number}" for number in range(23)]


def test_pages_go_forwards_after_a_cursor(store: LogStore, entry: Any) -> None:
    fill(store, entry, 23)
    page = store.query(STREAM, Query(limit=1, before=store.query(STREAM, Query(limit=22)).lines[0].cursor))
    seen = messages(page)
    assert page.next_before is None
    while page.lines:
        page = store.query(STREAM, Query(limit=4, after=page.lines[-1].cursor))
        seen += messages(page)
    assert seen == [f"line {number}" for number in range(23)]


def test_both_cursors_bound_a_page(store: LogStore, entry: Any) -> None:
    fill(store, entry, 12)
    lines = store.query(STREAM, Query()).lines
    page = store.query(STREAM, Query(after=lines[3].cursor, before=lines[8].cursor, limit=3))
    assert messages(page) == ["line 5", "line 6", "line 7"]
    assert page.next_before is not None
    rest = store.query(STREAM, Query(after=lines[3].cursor, before=page.next_before, limit=3))
    assert messages(rest) == ["line 4"]
    assert rest.next_before is None


def test_cursors_sort_in_order(store: LogStore, entry: Any) -> None:
    fill(store, entry, 30)
    cursors = [line.cursor for line in store.query(STREAM, Query()).lines]
    assert cursors == sorted(set(cursors))


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1", "'; drop", "9" * 21, "٣" * 20])
def test_a_cursor_that_is_none_of_ours_is_refused(store: LogStore, cursor: str) -> None:
    for query in (Query(before=cursor), Query(after=cursor)):
        with pytest.raises(ValueError, match="cursor"):
            store.query(STREAM, query)


@pytest.mark.parametrize("forged", ["0" * 20, "9" * 20])
def test_a_cursor_out_of_range_does_no_harm(store: LogStore, entry: Any, forged: str) -> None:
    fill(store, entry, 3)
    for query in (Query(before=forged), Query(after=forged)):
        assert len(store.query(STREAM, query).lines) in (0, 3)


def test_filters_select(store: LogStore, entry: Any) -> None:
    store.append(
        STREAM,
        [
            entry("Deploy STARTED", source="system", replica="platform", at=10),
            entry("GET /x 500", source="router", replica="router", level="error", at=20),
            entry("boom Straße", level="error", at=30),
            entry("fine", replica="web.2", at=40),
            entry("ÄRGER", replica="worker.1", level="warn", at=50),
        ],
    )

    def found(**filters: Any) -> list[str]:
        everything = messages(store.query(STREAM, Query(**filters)))
        start = store.query(STREAM, Query(limit=5)).lines[0].cursor
        forward = messages(store.query(STREAM, Query(after="0" * 20, **filters)))
        assert forward == everything, start
        return everything

    assert found(sources=["router", "system"]) == ["Deploy STARTED", "GET /x 500"]
    assert found(sources=["nonsense"]) == []
    assert found(levels=["error"]) == ["GET /x 500", "boom Straße"]
    assert found(replicas=["web.2", "worker.1"]) == ["fine", "ÄRGER"]
    assert found(since_ns=20 * SECOND, until_ns=40 * SECOND) == ["GET /x 500", "boom Straße"]
    assert found(search="started") == ["Deploy STARTED"]
    assert found(search="STRASSE") == []
    assert found(search="straße") == ["boom Straße"]
    assert found(search="ärger") == ["ÄRGER"]
    assert found(search=".*") == []
    assert found(search="web.1") == []
    assert found(levels=["error"], search="boom", sources=["app"], replicas=["web.1"]) == ["boom Straße"]


def test_pages_of_a_filter_end_where_its_lines_end(store: LogStore, entry: Any) -> None:
    for number in range(30):
        store.append(STREAM, [entry(f"line {number}", level="error" if number % 10 == 0 else "info")])
    page = store.query(STREAM, Query(levels=["error"], limit=2))
    assert messages(page) == ["line 10", "line 20"]
    page = store.query(STREAM, Query(levels=["error"], limit=2, before=page.next_before))
    assert messages(page) == ["line 0"]
    assert page.next_before is None


def collect(store: LogStore, query: Query, count: int, started: threading.Event | None = None) -> list[Line]:
    lines: list[Line] = []
    for line in store.follow(STREAM, query, stop=lambda: False):
        if line is not None:
            lines.append(line)
        elif started is not None:
            started.set()
        if len(lines) >= count:
            break
    return lines


def test_following_begins_with_the_newest_lines_and_goes_on(store: LogStore, entry: Any) -> None:
    fill(store, entry, 10)
    started = threading.Event()
    results: list[Line] = []
    follower = threading.Thread(target=lambda: results.extend(collect(store, Query(limit=3), 8, started)))
    follower.start()
    assert started.wait(10)
    fill(store, entry, 5, start=10)
    follower.join(10)
    assert [line.entry.message for line in results] == [f"line {number}" for number in range(7, 15)]


def test_following_a_stream_that_does_not_exist_yet(store: LogStore, entry: Any) -> None:
    started = threading.Event()
    results: list[Line] = []
    follower = threading.Thread(target=lambda: results.extend(collect(store, Query(), 2, started)))
    follower.start()
    assert started.wait(10)
    fill(store, entry, 2)
    follower.join(10)
    assert [line.entry.message for line in results] == ["line 0", "line 1"]


def test_resuming_from_any_line_repeats_and_loses_nothing_under_writes(store: LogStore, entry: Any) -> None:
    writer = threading.Thread(target=lambda: fill(store, entry, 300))
    writer.start()
    seen: list[str] = []
    cursor: str | None = "0" * 20
    while len(seen) < 300:
        for line in collect(store, Query(after=cursor), min(7, 300 - len(seen))):
            seen.append(line.entry.message)
            cursor = line.cursor
    writer.join()
    assert seen == [f"line {number}" for number in range(300)]


def test_following_filters(store: LogStore, entry: Any) -> None:
    fill(store, entry, 10)
    assert [line.entry.message for line in collect(store, Query(after="0" * 20, search="LINE 7"), 1)] == ["line 7"]


def test_following_ends_when_it_is_told(store: LogStore) -> None:
    beats: list[None] = []

    def stop() -> bool:
        return bool(beats)

    for line in store.follow(STREAM, Query(), stop=stop):
        assert line is None
        beats.append(line)
    assert beats == [None]


def test_unsubscribed_followers_are_not_woken(store: LogStore, entry: Any) -> None:
    woken = threading.Event()
    unsubscribe = store.subscribe(STREAM, woken.set)
    store.append(STREAM, [entry("x")])
    assert woken.wait(10)
    unsubscribe()
    unsubscribed = threading.Event()
    other = store.subscribe("app:other", unsubscribed.set)
    woken.clear()
    store.append(STREAM, [entry("y")])
    store.append("app:other", [entry("z")])
    assert unsubscribed.wait(10)
    other()
    assert not woken.is_set()


def test_marks_are_kept_with_the_lines(store: LogStore, entry: Any) -> None:
    store.append_marked(STREAM, [entry("a")], origin="one:1", mark="10")
    store.append_marked(STREAM, [entry("b")], origin="two", mark="5")
    store.append_marked(STREAM, [], origin="one:1", mark="20")
    assert store.marks(STREAM) == {"one:1": "20", "two": "5"}
    store.forget(STREAM, "two")
    store.forget(STREAM, "never known")
    assert store.marks(STREAM) == {"one:1": "20"}
    assert messages(store.query(STREAM, Query())) == ["a", "b"]


def test_retention_by_age_takes_the_oldest_and_keeps_marks(store: LogStore, entry: Any) -> None:
    store.append_marked(STREAM, [entry("old", at=1)], origin="one", mark="7")
    fill(store, entry, 50)
    first = store.query(STREAM, Query()).lines[0].cursor
    assert store.retain(older_than_ns=51 * SECOND, max_bytes_per_stream=10**9, max_bytes=10**9) > 0
    assert messages(store.query(STREAM, Query())) == []
    assert store.marks(STREAM) == {"one": "7"}
    store.append(STREAM, [entry("new", at=100)])
    page = store.query(STREAM, Query())
    assert messages(page) == ["new"]
    assert page.lines[0].cursor > first


def test_retention_keeps_what_is_young_enough(store: LogStore, entry: Any) -> None:
    fill(store, entry, 20)
    assert store.retain(older_than_ns=0, max_bytes_per_stream=10**9, max_bytes=10**9) == 0
    assert len(store.query(STREAM, Query()).lines) == 20


def test_a_cursor_into_removed_lines_goes_on_at_the_oldest_line(store: LogStore, entry: Any) -> None:
    fill(store, entry, 5)
    cursor = store.query(STREAM, Query()).lines[0].cursor
    store.retain(older_than_ns=100 * SECOND, max_bytes_per_stream=10**9, max_bytes=10**9)
    fill(store, entry, 2, start=100)
    assert messages(store.query(STREAM, Query(after=cursor))) == ["line 100", "line 101"]
    assert messages(store.query(STREAM, Query(before=cursor))) == []
    assert [line.entry.message for line in collect(store, Query(after=cursor), 2)] == ["line 100", "line 101"]


def test_a_dropped_stream_is_gone_and_may_come_again(store: LogStore, entry: Any) -> None:
    store.append_marked(STREAM, [entry("before")], origin="o", mark="1")
    cursor = store.query(STREAM, Query()).lines[0].cursor
    store.drop(STREAM)
    store.drop("app:never")
    assert messages(store.query(STREAM, Query())) == []
    assert store.marks(STREAM) == {}
    store.append(STREAM, [entry("after")])
    page = store.query(STREAM, Query(after=cursor))
    assert messages(page) == ["after"]
    assert page.lines[0].cursor > cursor
