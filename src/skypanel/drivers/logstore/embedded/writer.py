"""Writing one stream: frames appended to its newest segment, repaired when it is opened, rotated when it is full."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.logstore.embedded import codec
from skypanel.drivers.logstore.embedded.segments import committed_end, segment_name, segments, summary
from skypanel.drivers.logstore.entries import MAX_TS_NS

FRAME_BYTES = 262_144
CARRY_MARK = codec.frame(b"")


@dataclass(frozen=True)
class Layout:
    """How files are made: readable by the group of the process that reads them, by nobody else."""

    gid: int | None = None
    directory_mode: int = 0o750
    file_mode: int = 0o640
    segment_bytes: int = 4 * 1024 * 1024
    segment_span_ns: int = 24 * 3600 * 10**9  # so that age can be retained by whole segments

    def make_directory(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.gid is not None:
                os.chown(path, -1, self.gid)
            path.chmod(self.directory_mode)

    def create(self, path: Path, content: bytes) -> int:
        """A new file with that content, open for appending; it appears whole. Raises FileExistsError."""
        making = path.with_suffix(".new")
        fd = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if self.gid is not None:
                os.fchown(fd, -1, self.gid)
            os.fchmod(fd, self.file_mode)
            write_all(fd, content)
            if path.exists():  # asked when the directory has changed, so that no old answer is given
                raise FileExistsError(path)
            making.rename(path)
        except OSError:
            os.close(fd)
            raise
        return fd


def write_all(fd: int, data: bytes) -> None:
    """Appends all of it, or takes back what was written and raises OSError (a full disk)."""
    start = os.fstat(fd).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.ftruncate(fd, start)
        raise


class StreamWriter:
    """What one process knows of a stream. The store sees to it that nobody else writes between `begin` and `end`."""

    def __init__(self, directory: Path, layout: Layout) -> None:
        self._directory = directory
        self._layout = layout
        self._path: Path | None = None
        self._fd = -1
        self._size = 0
        self.marks: dict[str, str] = {}

    def begin(self) -> None:
        """Takes in what other processes have written since the last time. The file is opened anew: that is when a
        network file system looks at how it is now."""
        try:
            if self._path is None:
                self._load()
                return
            self._fd = _reopen(self._path)
        except FileNotFoundError:  # retention or a `drop` of another process
            self._load()
            return
        size = os.fstat(self._fd).st_size
        if size == self._size:
            return
        if size < self._size or summary(self._fd, size) is not None:  # cut, or full
            self.end()
            self._load()
            return
        known, self._size = self._size, size
        self._remember(self._repair(sealed=False, start=known))

    def end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _load(self) -> None:
        try:
            self._open_newest()
        except FileExistsError:  # another process has begun a segment that was not listed yet, as NFS may do it
            self.end()
            self._open_newest()

    def _open_newest(self) -> None:
        self.marks = {}
        self._oldest_ns = MAX_TS_NS
        self._newest_ns = 0
        self._layout.make_directory(self._directory)
        listed = segments(self._directory)
        if not listed:
            self._begin(time.time_ns())
            return
        self._base = listed[-1].base
        self._path = listed[-1].path
        self._fd = _reopen(self._path)
        self._size = os.fstat(self._fd).st_size
        sealed = summary(self._fd, self._size) is not None
        self._remember(self._repair(sealed=sealed))
        if sealed:
            self._rotate(seal=False)
        elif self._newest_ns and _written_before_boot(self._fd):
            # Lines that were seen before a power cut may not have reached the disk: never give their places again.
            self._rotate(at_least=time.time_ns())

    def _repair(self, *, sealed: bool, start: int = 0) -> bytes:
        """Cuts a torn append off; returns what the segment holds from `start` on."""
        end = committed_end(self._fd, self._size)
        if not sealed and end < self._size:
            os.ftruncate(self._fd, end)
            self._size = end
        return os.pread(self._fd, max(0, end - start), start)

    def _remember(self, data: bytes) -> None:
        for origin, mark in codec.marks_in(data):
            self._set_mark(origin, mark)
        for line in data.split(b"\n"):
            if codec.is_line(line):
                self._note_time(int(line[:19]))

    def _set_mark(self, origin: str, mark: str) -> None:
        if mark == codec.FORGOTTEN:
            self.marks.pop(origin, None)
        else:
            self.marks[origin] = mark

    def _note_time(self, ts_ns: int) -> None:
        self._oldest_ns = min(self._oldest_ns, ts_ns)
        self._newest_ns = max(self._newest_ns, ts_ns)

    def append(self, lines: list[bytes], *, origin: str | None = None, mark: str = codec.NOBODY) -> None:
        """Encoded lines; with an origin all in one frame, whatever their size."""
        if self._full(lines):
            self._rotate()
        for line in lines:
            self._note_time(int(line[:19]))
        if origin is not None:
            self._write(codec.frame(b"".join(lines), origin, mark))
            self._set_mark(origin, mark)
        else:
            for body in _bodies(lines):
                self._write(codec.frame(body))

    def _full(self, lines: list[bytes]) -> bool:
        if self._size >= self._layout.segment_bytes:
            return True
        return (
            bool(lines) and self._newest_ns > 0 and int(lines[0][:19]) - self._oldest_ns > self._layout.segment_span_ns
        )

    def _write(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._size += len(data)

    def rotate(self) -> None:
        """Begins a new segment, so that retention may take all there is now."""
        self._rotate()

    def _rotate(self, *, seal: bool = True, at_least: int = 0) -> None:
        if seal:
            self._write(codec.seal(min(self._oldest_ns, self._newest_ns), self._newest_ns))
        before = self._fd
        self._begin(max(self._base + self._size, at_least))
        if before >= 0:
            os.close(before)

    def _begin(self, base: int) -> None:
        carried = b"".join(codec.frame(b"", origin, mark) for origin, mark in self.marks.items()) or CARRY_MARK
        path = self._directory / segment_name(base)
        self._fd = self._layout.create(path, carried)
        self._path = path
        self._base = base
        self._size = len(carried)
        self._oldest_ns = MAX_TS_NS
        self._newest_ns = 0


def _reopen(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)


def _bodies(lines: Iterable[bytes]) -> Iterator[bytes]:
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= FRAME_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def _written_before_boot(fd: int) -> bool:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return False
    return os.fstat(fd).st_mtime < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
