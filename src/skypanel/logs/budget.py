"""How much one app may log: so much per second, and a burst that makes up for quiet times."""

from __future__ import annotations

from collections.abc import Callable


class Budget:
    def __init__(self, *, bytes_per_s: int, burst_bytes: int, monotonic: Callable[[], float]) -> None:
        self.bytes_per_s = bytes_per_s
        self._burst = burst_bytes
        self._monotonic = monotonic
        self._left = float(burst_bytes)
        self._at = monotonic()

    def allows(self, size: int) -> bool:
        """Takes it from the budget when there is enough."""
        now = self._monotonic()
        self._left = min(float(self._burst), self._left + (now - self._at) * self.bytes_per_s)
        self._at = now
        if self._left < size:
            return False
        self._left -= size
        return True
