"""Retention: whole segments go, oldest first, by age, by size of the stream, by size of all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.logstore.embedded.segments import Segment, newest_ns, opened, segments


@dataclass(frozen=True)
class _Kept:
    segment: Segment
    size: int
    newest_ns: int


class Retention:
    """`rotate` begins a new segment of a stream; `remove` drops a stream with nothing worth keeping, or says no."""

    def __init__(
        self, root: Path, *, rotate: Callable[[str], Mapping[str, str]], remove: Callable[[str], bool]
    ) -> None:
        self._root = root
        self._rotate = rotate
        self._remove = remove

    def retain(self, *, older_than_ns: int, max_bytes_per_stream: int, max_bytes: int) -> int:
        freed = 0
        left: list[tuple[str, _Kept, bool]] = []
        for stream, directory in self._streams():
            kept = _kept(directory)
            total = sum(each.size for each in kept)
            while kept and (kept[0].newest_ns < older_than_ns or (total > max_bytes_per_stream and len(kept) > 1)):
                going = kept.pop(0)
                total -= going.size
                if self._take(stream, going, last=not kept):
                    freed += going.size
            left.extend((stream, each, each is kept[-1]) for each in kept)
        total = sum(each.size for _stream, each, _last in left)
        for stream, each, last in sorted(left, key=lambda item: (item[1].newest_ns, item[1].segment.base)):
            if total <= max_bytes:
                break
            if self._take(stream, each, last=last):
                total -= each.size
                freed += each.size
        return freed

    def _take(self, stream: str, going: _Kept, *, last: bool) -> bool:
        if last:
            if self._remove(stream):
                return True
            if going.newest_ns == 0:
                return False  # nothing but marks
            self._rotate(stream)
        going.segment.path.unlink(missing_ok=True)
        return True

    def _streams(self) -> list[tuple[str, Path]]:
        if not self._root.is_dir():
            return []
        found = [path for path in self._root.iterdir() if not path.name.startswith(".") and "." in path.name]
        return [(path.name.replace(".", ":", 1), path) for path in sorted(found)]


def _kept(directory: Path) -> list[_Kept]:
    kept = []
    for segment in segments(directory):
        with opened(segment.path) as fd:
            if fd is not None:
                size = os.fstat(fd).st_size
                kept.append(_Kept(segment, size, newest_ns(fd, size)))
    return kept
