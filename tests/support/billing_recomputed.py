"""What customers owe, worked out from the simulator's own log of events with exact fractions.

Written beside the product and without any of its code: only what docs/decisions/0011-money.md says.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

HOUR = 3600
GB = 10**9

Key = tuple[str, int, str]  # application, hour in seconds since 1970, plan


@dataclass
class Stretch:
    """A replica, or a slug. `ends`: every moment that was said to be its end; the earliest one counts."""

    app: str
    begin: float
    plan: str = ""
    price: int = 0
    size: int = 0
    ends: list[float] = field(default_factory=list)

    def paid(self, deleted: float | None) -> tuple[int, int | None]:
        """Whole seconds from and until; None: still going on."""
        known = [*self.ends, *([] if deleted is None else [deleted])]
        return int(self.begin // 1), int(min(known) // 1) if known else None


@dataclass(frozen=True)
class Plan:
    name: str
    price: int
    storage: int
    logs: int


@dataclass
class Log:
    """Everything that happened, by the clock as it stood. `charged`: what is before has been charged."""

    replicas: dict[str, Stretch] = field(default_factory=dict)
    slugs: dict[str, Stretch] = field(default_factory=dict)
    plans: dict[str, list[tuple[float, Plan]]] = field(default_factory=lambda: defaultdict(list))
    deleted: dict[str, float] = field(default_factory=dict)
    logged: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    owner: dict[str, str] = field(default_factory=dict)
    first: int = 0
    charged: int = 0

    def logs(self, app: str, hour: int, size: int) -> None:
        self.logged[app, max(hour, self.charged)] += size


@dataclass
class Owed:
    replica_seconds: int = 0
    replica: Fraction = Fraction(0)
    byte_seconds: int = 0
    storage: Fraction = Fraction(0)
    log_bytes: int = 0
    logs: Fraction = Fraction(0)

    def row(self) -> tuple[int, ...]:
        amounts = [half_up(each) for each in (self.replica, self.storage, self.logs)]
        return (
            self.replica_seconds, amounts[0], self.byte_seconds, amounts[1], self.log_bytes, amounts[2], sum(amounts),
        )  # fmt: skip


def half_up(value: Fraction) -> int:
    whole, rest = divmod(value, 1)
    return int(whole) + (1 if rest >= Fraction(1, 2) else 0)


def hours_of(begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Hour, and from and until when of it."""
    while begin < end:
        hour = begin - begin % HOUR
        until = min(end, hour + HOUR)
        yield hour, begin, until
        begin = until


def owed(log: Log) -> Mapping[Key, tuple[int, ...]]:
    """(application, hour, plan) -> seconds, micro-units, byte-seconds, micro-units, bytes, micro-units, sum."""
    found: dict[Key, Owed] = defaultdict(Owed)
    for each in log.replicas.values():
        for hour, a, b in hours_of(*_charged(log, each)):
            line = found[each.app, hour, each.plan]
            line.replica_seconds += b - a
            line.replica += Fraction((b - a) * each.price, HOUR)
    for each in log.slugs.values():
        begin, end = _charged(log, each)
        for a, b, plan in _plans_between(log.plans[each.app], begin, end):
            for hour, start, until in hours_of(a, b):
                line = found[each.app, hour, plan.name]
                line.byte_seconds += (until - start) * each.size
                line.storage += Fraction((until - start) * each.size * plan.storage, HOUR * GB)
    for (app, hour), size in log.logged.items():
        chosen = [plan for since, plan in log.plans[app] if since < hour + HOUR]
        gone = app in log.deleted and log.deleted[app] <= hour
        if size and chosen and not gone and log.first <= hour < log.charged:
            line = found[app, hour, chosen[-1].name]
            line.log_bytes += size
            line.logs += Fraction(size * chosen[-1].logs, GB)
    return {
        key: line.row() for key, line in found.items() if line.replica_seconds or line.byte_seconds or line.log_bytes
    }


def _charged(log: Log, each: Stretch) -> tuple[int, int]:
    begin, end = each.paid(log.deleted.get(each.app))
    return max(begin, log.first), log.charged if end is None else min(end, log.charged)


def _plans_between(plans: list[tuple[float, Plan]], begin: int, end: int) -> Iterator[tuple[int, int, Plan]]:
    """At each moment the one that was chosen last, of those that had begun by then."""
    edges = sorted({begin, end} | {int(since // 1) for since, _ in plans if begin < since // 1 < end})
    for a, b in itertools.pairwise(edges):
        chosen = [plan for since, plan in plans if since // 1 <= a]
        if chosen and a < b:
            yield a, b, chosen[-1]
