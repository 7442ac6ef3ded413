"""One container's file on its way into the store. The store keeps, with the lines, how far they were read (`mark`):
`<position>:<where to start reading again>`. A worker that was killed goes on exactly there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skypanel.drivers.logstore.port import Entry, LogStore
from skypanel.logs.budget import Budget
from skypanel.logs.conmon import Joiner, Printed
from skypanel.logs.levels import guess
from skypanel.logs.system import system_entry
from skypanel.logs.tailed_file import RawLine, TailedFile


@dataclass(frozen=True)
class LogTarget:
    """Where a container's lines go. `replica`: what they are called there, "web.1"."""

    streams: tuple[str, ...]
    source: str
    replica: str
    log_format: str = "k8s"  # or "plain"


@dataclass(frozen=True)
class Place:
    position: int  # lines that end here or before are in the store
    resume: int  # where unfinished lines begin

    @staticmethod
    def parse(mark: str) -> Place:
        position, _, resume = mark.partition(":")
        return Place(int(position), int(resume))

    def __str__(self) -> str:
        return f"{self.position}:{self.resume}"


START = Place(0, 0)


class Feed:
    """Raises OSError where the store does; it must not be used again after that, but made anew from the marks."""

    def __init__(
        self,
        store: LogStore,
        file: TailedFile,
        target: LogTarget,
        *,
        container_id: str,
        identity: str,
        budget: Budget,
        now_ns: Callable[[], int],
    ) -> None:
        self.file = file
        self.target = target
        self._store = store
        self._origin = f"{container_id}.{identity}"
        self._budget = budget
        self._now_ns = now_ns
        self._joiner = Joiner()
        self._places: dict[str, Place] = {}
        missed = False
        for stream in target.streams:
            marks = store.marks(stream)
            self._places[stream] = Place.parse(marks[self._origin]) if self._origin in marks else START
            for other in marks:
                if other.startswith(f"{container_id}.") and other != self._origin:
                    store.forget(stream, other)
                    missed = True
        file.offset = min(place.resume for place in self._places.values())
        if missed:
            self._say("The log of this replica was rotated while nobody read it; lines of it may be missing.")

    def step(self) -> bool:
        """Moves some lines on; False when there were none."""
        lines = self.file.read()
        if lines:
            self._store_lines(lines, self.file.offset)
        return bool(lines)

    def finish(self) -> None:
        """Moves everything that is left, an unfinished last line too. For files that grow no more."""
        while lines := self.file.read(complete=True):
            self._store_lines(lines, self.file.offset)
        position = self.file.offset + 1
        printed = self._joiner.finish(position)
        if printed:
            self._append(printed, Place(position, position), dropped=False)

    def forget(self) -> None:
        for stream in self.target.streams:
            self._store.forget(stream, self._origin)

    def _store_lines(self, lines: Sequence[RawLine], position: int) -> None:
        now_ns = self._now_ns()
        if self.target.log_format == "k8s":
            printed = [
                line
                for raw in lines
                for line in self._joiner.feed(raw.text, start=raw.start, end=raw.end, now_ns=now_ns)
            ]
        else:
            printed = [Printed(now_ns, raw.text, raw.end) for raw in lines]
        size = position - lines[0].start
        self._append(printed, Place(position, self._joiner.resume_at(position)), dropped=not self._budget.allows(size))

    def _append(self, printed: Sequence[Printed], place: Place, *, dropped: bool) -> None:
        for stream, before in self._places.items():
            if place.position <= before.position:
                continue
            fresh = [line for line in printed if line.end > before.position]
            entries = [self._dropped(fresh)] if dropped and fresh else [self._entry(line) for line in fresh]
            self._store.append_marked(stream, entries, origin=self._origin, mark=str(place))
            self._places[stream] = place

    def _entry(self, line: Printed) -> Entry:
        message = line.text.decode(errors="replace").removesuffix("\r")
        return Entry(line.ts_ns, self.target.source, self.target.replica, guess(message), message)

    def _dropped(self, lines: Sequence[Printed]) -> Entry:
        message = (
            f"{len(lines)} lines of {self.target.replica} were dropped: the app prints more than "
            f"{self._budget.bytes_per_s // 1_000_000} MB of log per second."
        )
        return system_entry(message, level="warn", ts_ns=lines[-1].ts_ns)

    def _say(self, message: str) -> None:
        for stream in self.target.streams:
            self._store.append(stream, [system_entry(message, level="warn", ts_ns=self._now_ns())])
