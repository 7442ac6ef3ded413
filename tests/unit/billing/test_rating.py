"""`rate` against the same sum done with fractions, second by second where that is the plainest way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from skypanel.billing.core.hours import HOUR, HOUR_S, hour_of, hours_between, seconds
from skypanel.billing.core.rating import Line, Served, Stored, Terms, rate
from skypanel.billing.forecast import hour_costs

START = 1_772_355_600  # 2026-03-01 09:00 UTC
GB = 10**9
PRICES = st.integers(0, 10**9)
MOMENTS = st.integers(START - HOUR_S, START + 2 * HOUR_S)
PLANS = st.sampled_from(["hobby", "pro", "standard"])
SERVED = st.builds(Served, MOMENTS, MOMENTS, PLANS, PRICES)
TERMS = st.lists(st.builds(Terms, MOMENTS, PLANS, PRICES, PRICES), max_size=5)
STORED = st.lists(st.builds(Stored, MOMENTS, MOMENTS, st.integers(0, 50 * GB)), max_size=5)
BYTES = st.integers(0, 10**12)


def half_up(value: Fraction) -> int:
    whole, rest = divmod(value, 1)
    return int(whole) + (rest >= Fraction(1, 2))


def plain(
    start: int, served: Sequence[Served], terms: Sequence[Terms], stored: Sequence[Stored], size: int
) -> set[Line]:
    """Each stretch between two moments on its own; the plan of a moment is the last one chosen that had begun."""
    cuts = {start, start + HOUR_S}
    for each in (*served, *stored):
        cuts |= {each.start, each.end}
    cuts |= {each.start for each in terms}
    edges = sorted(cut for cut in cuts if start <= cut <= start + HOUR_S)
    replicas: dict[str, tuple[int, Fraction]] = {}
    kept: dict[str, tuple[int, Fraction]] = {}
    for a, b in itertools.pairwise(edges):
        for each in served:
            if each.start <= a and b <= each.end:
                had = replicas.get(each.plan, (0, Fraction(0)))
                replicas[each.plan] = (had[0] + b - a, had[1] + Fraction((b - a) * each.price, 3600))
        holds = [term for term in terms if term.start <= a]
        for piece in stored:
            if holds and piece.start <= a and b <= piece.end:
                had = kept.get(holds[-1].plan, (0, Fraction(0)))
                more = piece.size * (b - a)
                kept[holds[-1].plan] = (had[0] + more, had[1] + Fraction(more * holds[-1].storage_price, 3600 * GB))
    found = set()
    for plan in {"hobby", "pro", "standard"}:
        last = terms[-1] if terms else None
        mine = size if last is not None and last.plan == plan else 0
        logs = half_up(Fraction(mine * last.log_price, GB)) if last is not None and mine else 0
        time, cost = replicas.get(plan, (0, Fraction(0)))
        byte_seconds, storage = kept.get(plan, (0, Fraction(0)))
        line = Line(plan, time, half_up(cost), byte_seconds, half_up(storage), mine, logs)
        if time or byte_seconds or mine:
            found.add(line)
    return found


@given(st.lists(SERVED, max_size=6), TERMS, STORED, BYTES)
def test_it_is_the_sum_of_fractions_rounded_once_a_component(
    served: list[Served], terms: list[Terms], stored: list[Stored], size: int
) -> None:
    lines = rate(START, served, terms, stored, size)
    assert set(lines) == plain(START, served, terms, stored, size)
    assert [line.plan for line in lines] == sorted({line.plan for line in lines})


@given(st.lists(SERVED, max_size=6), TERMS, STORED, BYTES)
def test_nothing_is_ever_negative(served: list[Served], terms: list[Terms], stored: list[Stored], size: int) -> None:
    for line in rate(START, served, terms, stored, size):
        assert min(line.replica_seconds, line.replica_micro, line.byte_seconds, line.storage_micro) >= 0
        assert 0 <= line.log_micro <= line.amount_micro


@given(st.lists(SERVED, max_size=6), STORED, st.randoms(use_true_random=False))
def test_the_order_of_replicas_and_slugs_does_not_matter(served: list[Served], stored: list[Stored], dice) -> None:  # type: ignore[no-untyped-def]
    terms = [Terms(START, "pro", 7)]
    before = rate(START, served, terms, stored)
    dice.shuffle(served)
    dice.shuffle(stored)
    assert rate(START, served, terms, stored) == before


@given(st.lists(SERVED, min_size=1, max_size=5), st.lists(MOMENTS, max_size=4), STORED)
def test_a_stretch_cut_in_pieces_costs_what_it_cost_whole(
    served: list[Served], cuts: list[int], stored: list[Stored]
) -> None:
    def pieces(start: int, end: int) -> list[tuple[int, int]]:
        edges = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        return list(itertools.pairwise(edges)) if start < end else [(start, end)]

    cut_served = [Served(a, b, s.plan, s.price) for s in served for a, b in pieces(s.start, s.end)]
    cut_stored = [Stored(a, b, s.size) for s in stored for a, b in pieces(s.start, s.end)]
    terms = [Terms(START - HOUR_S, "pro", 11), Terms(START + 1000, "hobby", 13)]
    assert rate(START, cut_served, terms, cut_stored) == rate(START, served, terms, stored)


@given(SERVED)
def test_neighbouring_hours_share_no_second_and_lose_none(served: Served) -> None:
    hours = [rate(START + n * HOUR_S, [served], []) for n in range(-1, 2)]
    assert sum(line.replica_seconds for lines in hours for line in lines) == max(0, served.end - served.start)


@given(st.integers(0, 200), PRICES, st.integers(0, 100 * GB), PRICES)
def test_the_price_before_an_action_is_what_that_hour_is_charged(
    replicas: int, price: int, size: int, storage_price: int
) -> None:
    charged = rate(
        START, [Served(START - 5, START + 4000, "pro", price)] * replicas, [Terms(0, "pro", storage_price)],
        [Stored(0, START + 10**6, size)],
    )  # fmt: skip
    shown = hour_costs(plan="pro", price=price, replicas=replicas, stored_bytes=size, storage_price=storage_price)
    assert shown == sum(line.amount_micro for line in charged)


def test_where_the_clock_was_set_back_no_moment_has_two_plans() -> None:
    terms = [Terms(START, "a", GB), Terms(START + 3000, "b", GB), Terms(START + 1200, "c", GB)]
    lines = rate(START, [], terms, [Stored(START, START + HOUR_S, 1)])
    assert {line.plan: line.byte_seconds for line in lines} == {"a": 1200, "c": 2400}


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_hours_are_those_of_utc_whatever_clocks_on_walls_show(zone: str, wall: datetime) -> None:
    moment = wall.replace(tzinfo=ZoneInfo(zone))
    hour = hour_of(moment)
    assert hour.utcoffset() == timedelta(0)
    assert seconds(hour) % HOUR_S == 0
    assert seconds(hour) <= seconds(moment) < seconds(hour) + HOUR_S


def test_a_day_of_23_or_25_hours_on_the_wall_has_its_hours_once_each() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day, count in ((datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)):
        first, end = day.replace(tzinfo=berlin), (day + timedelta(days=1)).replace(tzinfo=berlin)
        hours = list(hours_between(hour_of(first), hour_of(end)))
        assert len(hours) == len(set(hours)) == count
        whole = Served(seconds(first), seconds(end), "pro", 3600)
        paid = [rate(seconds(hour), [whole], [])[0].replica_micro for hour in hours]
        assert sum(paid) == count * HOUR_S
    assert hour_of(datetime(2026, 3, 1, tzinfo=UTC)) + HOUR == datetime(2026, 3, 1, 1, tzinfo=UTC)
