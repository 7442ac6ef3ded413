"""The log of one deployment: a sink of lines, gathered for an eye-blink, secrets masked, with a limit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from skypanel.drivers.logstore.port import Entry, LogStore
from skypanel.kit.clock import Clock
from skypanel.kit.secret import masked
from skypanel.logs.system import nanoseconds

log = logging.getLogger(__name__)

GATHER_S = 0.04
GATHER_LINES = 500


class BuildLog:
    """Callable with a line (or several, parted by newlines). Safe for threads. Lines go to `build:<deployment>` and to
    the app's log as source `build`. Beyond `limit_bytes` one notice is written and nothing more."""

    def __init__(
        self,
        store: LogStore,
        *,
        app_id: str,
        deployment_id: str,
        clock: Clock,
        secrets: Sequence[str] = (),
        limit_bytes: int = 10_000_000,
    ) -> None:
        self._store = store
        self._streams = (f"build:{deployment_id}", f"app:{app_id}")
        self._clock = clock
        # A secret of several lines is printed line by line.
        self._secrets = sorted({part for secret in secrets for part in (secret, *secret.splitlines())})
        self._left = limit_bytes
        self._limit = limit_bytes
        self._waiting: list[Entry] = []
        self._changed = threading.Condition()
        self._flushing = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def __call__(self, line: str) -> None:
        ts_ns = nanoseconds(self._clock.now())
        with self._changed:
            for part in masked(line.removesuffix("\n"), self._secrets).split("\n"):
                self._take(ts_ns, part.removesuffix("\r"))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="build-log", daemon=True)
                self._thread.start()
            self._changed.notify()
            at_once = self._closed or len(self._waiting) >= GATHER_LINES
        if at_once:
            self._flush()

    def _take(self, ts_ns: int, line: str) -> None:
        if self._left <= 0:
            return
        self._left -= len(line.encode(errors="replace")) + 1
        if self._left > 0:
            self._waiting.append(Entry(ts_ns, "build", "build", "info", line))
        else:
            notice = f"The log is longer than {self._limit} bytes; the rest of it is not kept."
            self._waiting.append(Entry(ts_ns, "build", "build", "warn", notice))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._changed.wait_for(lambda: self._closed, GATHER_S)
            self._flush()

    def _flush(self) -> None:
        with self._flushing:
            with self._changed:
                entries, self._waiting = self._waiting, []
            if not entries:
                return
            try:
                for stream in self._streams:
                    self._store.append(stream, entries)
            except OSError as error:  # a full disk must not end a deployment for the sake of its log
                log.error("%d lines of %s could not be kept: %s", len(entries), self._streams[0], error)

    def close(self) -> None:
        """All lines are in the store when it returns. Idempotent; a line that comes later is written at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._flush()
