"""The log store on local files. One instance per process; those that append take turns."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from skypanel.drivers.logstore.embedded import codec
from skypanel.drivers.logstore.embedded.retention import Retention
from skypanel.drivers.logstore.embedded.search import newest, oldest
from skypanel.drivers.logstore.embedded.segments import end_of, place_after, read_on
from skypanel.drivers.logstore.embedded.turn import Turn
from skypanel.drivers.logstore.embedded.watch import Watcher
from skypanel.drivers.logstore.embedded.writer import Layout, StreamWriter
from skypanel.drivers.logstore.entries import check_cursor, check_stream, cursor_of, normalized
from skypanel.drivers.logstore.following import follow
from skypanel.drivers.logstore.port import Chunk, Entry, Line, LinePage, Query, StopsFollowing

_SHARED_CHUNKS = 32
_SHARED_LINES = 200  # of one who catches up nobody else needs the chunks, and they are large


class EmbeddedLogStore:
    """`gid`: the group that may read the files (the server's). Raises OSError where the disk does."""

    def __init__(
        self,
        root: Path,
        *,
        gid: int | None = None,
        directory_mode: int = 0o750,
        file_mode: int = 0o640,
        segment_bytes: int = 4 * 1024 * 1024,
        segment_span_s: int = 24 * 3600,
        inotify: bool = True,
    ) -> None:
        self._root = root
        self._layout = Layout(gid, directory_mode, file_mode, segment_bytes, segment_span_s * 10**9)
        self._turn = Turn(root / ".turn")
        self._writers: dict[str, StreamWriter] = {}
        self._lock = threading.Lock()
        self._chunks: OrderedDict[tuple[str, str], tuple[Chunk, int]] = OrderedDict()
        self._watcher = Watcher(inotify=inotify)

    # Writing

    def append(self, stream: str, entries: Sequence[Entry]) -> None:
        lines = codec.encode(normalized(entries))
        if lines:
            with self._writer(stream) as writer:
                writer.append(lines)

    def append_marked(self, stream: str, entries: Sequence[Entry], *, origin: str, mark: str) -> None:
        lines = codec.encode(normalized(entries))
        with self._writer(stream) as writer:
            writer.append(lines, origin=origin, mark=mark)

    def marks(self, stream: str) -> Mapping[str, str]:
        if not self._directory(stream).is_dir():
            return {}
        with self._writer(stream) as writer:
            return dict(writer.marks)

    def forget(self, stream: str, origin: str) -> None:
        if origin in self.marks(stream):
            self.append_marked(stream, [], origin=origin, mark=codec.FORGOTTEN)

    def drop(self, stream: str) -> None:
        directory = self._directory(stream)
        if not directory.is_dir():
            return
        with self._turn:
            self._writers.pop(stream, None)
            if directory.is_dir():
                going = self._root / f".dropped-{directory.name}"
                shutil.rmtree(going, ignore_errors=True)
                directory.rename(going)
                shutil.rmtree(going)

    def retain(self, *, older_than_ns: int, max_bytes_per_stream: int, max_bytes: int) -> int:
        retention = Retention(self._root, rotate=self._rotated, remove=self._removed)
        return retention.retain(
            older_than_ns=older_than_ns, max_bytes_per_stream=max_bytes_per_stream, max_bytes=max_bytes
        )

    def _rotated(self, stream: str) -> Mapping[str, str]:
        """Begins a new segment; what it carries over."""
        with self._writer(stream) as writer:
            writer.rotate()
            return dict(writer.marks)

    def _removed(self, stream: str) -> bool:
        """Drops the whole stream unless somebody's place is kept in it."""
        with self._turn:
            if self.marks(stream):
                return False
            self.drop(stream)
            return True

    @contextmanager
    def _writer(self, stream: str) -> Iterator[StreamWriter]:
        directory = self._directory(stream)
        if stream not in self._writers:
            self._layout.make_directory(self._root)
        with self._turn:
            writer = self._writers.get(stream) or StreamWriter(directory, self._layout)
            try:
                writer.begin()
                self._writers[stream] = writer
                yield writer
            except OSError:  # what it knows may not be so any more
                self._writers.pop(stream, None)
                raise
            finally:
                writer.end()

    # Reading

    def query(self, stream: str, query: Query) -> LinePage:
        directory = self._directory(stream)
        if query.limit <= 0:
            return LinePage((), None)
        before = None if query.before is None else check_cursor(query.before)
        after = None if query.after is None else check_cursor(query.after)
        if after is not None and before is None:
            return oldest(directory, query, after)
        return newest(directory, query, before, after)

    def follow(self, stream: str, query: Query, *, stop: StopsFollowing) -> Iterator[Line | None]:
        return follow(self, stream, query, stop=stop)

    def position(self, stream: str, after: str | None) -> str:
        directory = self._directory(stream)
        return cursor_of(end_of(directory) if after is None else place_after(directory, check_cursor(after)))

    def read(self, stream: str, position: str) -> Chunk:
        # Followers of one stream stand at the same place: the first of them reads and decodes for all.
        directory = self._directory(stream)
        rings = self._watcher.rings(directory)
        shared = self._chunks.get((stream, position))
        if shared is not None:
            chunk, rings_then = shared
            return chunk if rings_then == rings or chunk.more else replace(chunk, more=True)
        start, data, end, more = read_on(directory, check_cursor(position))
        lines = []
        for raw in data.split(b"\n"):
            if codec.is_line(raw):
                lines.append(Line(codec.decode(raw), cursor_of(start)))
            start += len(raw) + 1
        chunk = Chunk(lines, cursor_of(end), more)
        if 0 < len(lines) <= _SHARED_LINES:
            with self._lock:
                self._chunks[(stream, position)] = (chunk, rings)
                while len(self._chunks) > _SHARED_CHUNKS:
                    self._chunks.popitem(last=False)
        return chunk

    def subscribe(self, stream: str, wake: Callable[[], None]) -> Callable[[], None]:
        return self._watcher.subscribe(self._directory(stream), wake)

    def close(self) -> None:
        self._turn.close()
        self._watcher.close()

    def _directory(self, stream: str) -> Path:
        return self._root / check_stream(stream).replace(":", ".")
