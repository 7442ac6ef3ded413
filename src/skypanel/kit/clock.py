"""The time as a value that can be passed in: nothing below `worker` asks the machine for it by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class FakeClock:
    """A clock that a test moves by hand."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment

    def advance(self, delta: timedelta) -> None:
        self.moment += delta


def rfc3339(moment: datetime, *, timespec: str = "microseconds") -> str:
    """`2026-01-02T03:04:05.678901Z`: UTC, as RFC 3339 asks."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
