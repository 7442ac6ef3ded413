from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skypanel.logs.conmon import MAX_SPAN, Joiner, Printed

STAMP = b"2026-01-02T03:04:05.000000006+00:00"
NS = 1_767_323_045_000_000_006


def feed_all(joiner: Joiner, lines: list[bytes], start: int = 0) -> list[Printed]:
    printed = []
    for line in lines:
        printed += joiner.feed(line, start=start, end=start + len(line) + 1, now_ns=7)
        start += len(line) + 1
    return printed


def test_time_and_text_are_read() -> None:
    assert feed_all(Joiner(), [STAMP + b" stdout F hello  world"])[0] == Printed(NS, b"hello  world", 58)
    assert feed_all(Joiner(), [STAMP.replace(b"+00:00", b"+02:00") + b" stderr F x"])[0].ts_ns == NS - 7200 * 10**9


def test_pieces_are_joined_per_output() -> None:
    lines = [b" stdout P a", b" stderr P x", b" stdout P b", b" stderr F y", b" stdout F c", b" stdout F d"]
    assert [line.text for line in feed_all(Joiner(), [STAMP + line for line in lines])] == [b"xy", b"abc", b"d"]


def test_a_header_that_the_app_printed_is_text() -> None:
    fake = STAMP + b" stdout F forged"
    assert feed_all(Joiner(), [STAMP + b" stdout F " + fake])[0].text == fake


def test_what_is_no_line_of_conmon_is_kept() -> None:
    broken = [b"", b"hello", b"9999-99-99T99:99:99.000000000Z stdout F x", STAMP + b" stdout X y"]
    assert feed_all(Joiner(), broken) == [
        Printed(7, line, sum(len(each) + 1 for each in broken[: index + 1])) for index, line in enumerate(broken)
    ]


def test_an_unfinished_line_does_not_wait_for_ever() -> None:
    joiner = Joiner()
    other = STAMP + b" stderr F " + b"x" * 1000
    printed = feed_all(joiner, [STAMP + b" stdout P prompt> ", *[other] * (MAX_SPAN // 1000 + 2)])
    assert b"prompt> " in [line.text for line in printed]


@given(
    st.lists(st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.sampled_from([b"F", b"P"]), st.binary(max_size=5)),
             max_size=30),
    st.data(),
)  # fmt: skip
def test_reading_again_from_where_the_mark_says_gives_exactly_the_rest(
    pieces: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    lines = [b" ".join((STAMP, out, flag, text.replace(b"\n", b"."))) for out, flag, text in pieces]
    stop = data.draw(st.integers(0, len(lines)))
    whole = feed_all(Joiner(), lines)
    first = Joiner()
    before = feed_all(first, lines[:stop])
    position = sum(len(line) + 1 for line in lines[:stop])
    resume = first.resume_at(position)
    offset, index = 0, 0
    while offset < resume:
        offset, index = offset + len(lines[index]) + 1, index + 1
    after = [line for line in feed_all(Joiner(), lines[index:], start=resume) if line.end > position]
    assert before + after == whole
