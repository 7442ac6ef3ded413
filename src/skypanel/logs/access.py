"""The router's access log on its way into the logs of the apps: one file, a stream per app.

The store's stream `router:access` remembers how far the file was read for all apps; each app's stream remembers the
last line that it has got. So a worker that was killed reads a little again and stores nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from skypanel.drivers.logstore.port import Entry, LogStore
from skypanel.logs.levels import of_status
from skypanel.logs.tailed_file import RawLine, TailedFile

CHECKPOINTS = "router:access"
SOURCE = "router"
_ORIGIN = "access"
_CHECKPOINT_BYTES = 65_536
LATE_LINES_S = 2.0


class Access(Protocol):
    @property
    def ts_ns(self) -> int: ...

    @property
    def app_id(self) -> str | None: ...

    @property
    def status(self) -> int: ...


A = TypeVar("A", bound=Access)


Batch = list[tuple[int, Entry]]  # with the place behind each line


def by_stream(
    lines: Iterable[RawLine], parse: Callable[[bytes], A | None], render: Callable[[A], str]
) -> dict[str, Batch]:
    """Lines of no app are left out."""
    batches: dict[str, Batch] = {}
    for line in lines:
        access = parse(line.text)
        if access is not None and access.app_id is not None:
            entry = Entry(access.ts_ns, SOURCE, SOURCE, of_status(access.status), render(access))
            batches.setdefault(f"app:{access.app_id}", []).append((line.end, entry))
    return batches


class AccessTail:
    """Raises OSError where file or store do; it must not be used again after that, but made anew."""

    def __init__(
        self,
        store: LogStore,
        path: Path,
        *,
        parse: Callable[[bytes], A | None],
        render: Callable[[A], str],
        rotate: Callable[[], None],
        rotate_bytes: int = 64_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._path = path
        self._parse: Callable[[bytes], A | None] = parse
        self._render: Callable[[A], str] = render
        self._rotate = rotate
        self._rotate_bytes = rotate_bytes
        self._file: TailedFile | None = None
        self._origin = ""
        self._places: dict[str, int] = {}
        self._checkpoint = 0
        self._monotonic = monotonic
        self._replaced_at = 0.0

    def step(self) -> bool:
        """Moves some lines on; False when there were none."""
        if self._file is None and not self._open():
            return False
        file = self._file
        assert file is not None
        truncated = file.truncated()
        lines = [] if truncated else file.read()
        if not lines:
            self._save_checkpoint(file.offset)
            if truncated or (file.replaced() and self._left_alone()):
                self._forget()
                return True
            if file.offset > self._rotate_bytes and not self._replaced_at:
                self._rotate()
            return False
        for stream, batch in by_stream(lines, self._parse, self._render).items():
            self._append(stream, batch)
        if file.offset - self._checkpoint > _CHECKPOINT_BYTES:
            self._save_checkpoint(file.offset)
        return True

    def _left_alone(self) -> bool:
        """The router goes on writing to a renamed file until it has noticed."""
        self._replaced_at = self._replaced_at or self._monotonic()
        return self._monotonic() - self._replaced_at >= LATE_LINES_S

    def _append(self, stream: str, batch: Batch) -> None:
        place = self._places.get(stream)
        if place is None:
            place = self._known(stream)
        fresh = [entry for end, entry in batch if end > place]
        if fresh:
            self._store.append_marked(stream, fresh, origin=self._origin, mark=str(batch[-1][0]))
        self._places[stream] = max(place, batch[-1][0])

    def _known(self, stream: str) -> int:
        marks = self._store.marks(stream)
        for other in marks:
            if other.startswith(f"{_ORIGIN}.") and other != self._origin:
                self._store.forget(stream, other)
        return int(marks.get(self._origin, "0"))

    def _open(self) -> bool:
        try:
            file = TailedFile(self._path)
        except FileNotFoundError:
            return False
        identity = file.identity(complete=False)
        if identity is None:
            file.close()
            return False
        self._file = file
        self._origin = f"{_ORIGIN}.{identity}"
        self._places = {}
        self._replaced_at = 0.0
        self._checkpoint = file.offset = self._known(CHECKPOINTS)
        return True

    def _save_checkpoint(self, position: int) -> None:
        if position > self._checkpoint:
            self._store.append_marked(CHECKPOINTS, [], origin=self._origin, mark=str(position))
            self._checkpoint = position

    def _forget(self) -> None:
        self.close()
        for stream in (*self._places, CHECKPOINTS):
            self._store.forget(stream, self._origin)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
