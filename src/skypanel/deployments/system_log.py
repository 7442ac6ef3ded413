"""Lines of the platform itself in an app's log, source `system`."""

from __future__ import annotations

from skypanel.deployments.platform import Platform
from skypanel.drivers.logstore.port import Entry


class SystemLog:
    """A sink of lines, as a deployment's log is."""

    def __init__(self, platform: Platform, app_id: str) -> None:
        self._platform = platform
        self._stream = f"app:{app_id}"

    def __call__(self, line: str) -> None:
        ts_ns = int(self._platform.clock.now().timestamp() * 1_000_000_000)
        self._platform.logs.append(self._stream, [Entry(ts_ns, "system", "platform", "info", line.strip())])

    def close(self) -> None:
        """Nothing is held back."""
