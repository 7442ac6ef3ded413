"""What an hour of an application costs. The only place that multiplies seconds by prices: charge, correction, forecast
and the price shown before an action all come from here.

A replica pays for whole seconds, from the one it began to serve in to the one it left in. Each amount of a line is
rounded once, half a micro-unit up, so that anybody can do the sum again:
`replica_seconds x price / 3600`, `byte_seconds x price / (3600 x 10^9)`, `bytes x price / 10^9`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skypanel.billing.core.hours import HOUR_S

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Served:
    """One replica, in seconds since 1970. `price`: micro-units an hour."""

    start: int
    end: int
    plan: str
    price: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The plan of the application from `start` until the next one. Prices: micro-units per GB-hour, and per GB."""

    start: int
    plan: str
    storage_price: int = 0
    log_price: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes kept from `start` to `end`."""

    start: int
    end: int
    size: int


@dataclass(frozen=True, slots=True)
class Line:
    """An application's hour under one plan. Amounts in micro-units."""

    plan: str
    replica_seconds: int = 0
    replica_micro: int = 0
    byte_seconds: int = 0
    storage_micro: int = 0
    log_bytes: int = 0
    log_micro: int = 0

    @property
    def amount_micro(self) -> int:
        return self.replica_micro + self.storage_micro + self.log_micro

    @property
    def empty(self) -> bool:
        return not (self.replica_seconds or self.byte_seconds or self.log_bytes)


def rate(
    start: int, served: Iterable[Served], terms: Sequence[Terms], stored: Sequence[Stored] = (), log_bytes: int = 0
) -> tuple[Line, ...]:
    """The hour that begins at `start`: a line for each plan that something was used under, by name. `terms` are in the
    order they were chosen in, and reach back to the hour's beginning or to when the application was made. At each
    moment the last one holds that had begun by then: where the clock was set back, a later one may begin earlier."""
    end = start + HOUR_S
    used: dict[str, list[int]] = {}  # plan -> seconds, byte-seconds and bytes, each followed by itself x its price
    for each in served:
        length = _overlap(each.start, each.end, start, end)
        _add(used, each.plan, 0, length, length * each.price)
    until = end
    for period in reversed(terms):
        kept = sum(s.size * _overlap(max(s.start, period.start), min(s.end, until), start, end) for s in stored)
        _add(used, period.plan, 2, kept, kept * period.storage_price)
        until = min(until, period.start)
    if log_bytes and terms:
        _add(used, terms[-1].plan, 4, log_bytes, log_bytes * terms[-1].log_price)
    lines = (
        Line(plan, seconds, rounded(priced, HOUR_S), kept, rounded(kept_priced, HOUR_S * GB), size, rounded(sized, GB))
        for plan, (seconds, priced, kept, kept_priced, size, sized) in sorted(used.items())
    )
    return tuple(line for line in lines if not line.empty)


def rounded(dividend: int, divisor: int) -> int:
    """Half up, exact for integers of any size."""
    return (2 * dividend + divisor) // (2 * divisor)


def _overlap(a: int, b: int, start: int, end: int) -> int:
    return max(0, min(b, end) - max(a, start))


def _add(used: dict[str, list[int]], plan: str, place: int, amount: int, priced: int) -> None:
    if amount:
        found = used.setdefault(plan, [0] * 6)
        found[place] += amount
        found[place + 1] += priced
