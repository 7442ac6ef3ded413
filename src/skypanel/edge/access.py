"""The access log of this node's router: kept until the control plane has it, in bounded space.

router/
├── access.log               Traefik writes it; renamed when it is large
├── access.log.7.5f0c9a1e    a full one, generation 7: removed when a later one is asked for, or when there is no room
└── access.generation        "8.03be77d2", what access.log will be called

Whoever asks for a later generation has stored that it begins (`logs/ingress.py`), so the earlier ones are done with.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skypanel.drivers.edge_access import HOLD_S, Piece, Place
from skypanel.drivers.router.traefik.command import open_anew, rotate, writers
from skypanel.drivers.router.traefik.setup import create_log, write
from skypanel.logs.spool_watch import SpoolWatch

log = logging.getLogger(__name__)
ROTATE_BYTES = 32_000_000
KEPT_BYTES = 100_000_000  # of full files: three of them
PIECE_BYTES = 1_000_000
LOOK_S = 1.0
GATHER_S = 0.1
AGAIN_S = 30.0
_GENERATION = re.compile(r"(\d{1,12})\.[0-9a-f]{8}")


class AccessLog:
    """`directory`: the router's, prepared. Safe for threads, and beside the edge that is being replaced."""

    def __init__(
        self, directory: Path, *, uid: int | None = None, gid: int | None = None,
        rotate_bytes: int = ROTATE_BYTES, kept_bytes: int = KEPT_BYTES, piece_bytes: int = PIECE_BYTES,
    ) -> None:  # fmt: skip
        self._directory, self._path = directory, directory / "access.log"
        self._uid, self._gid = uid, gid
        self._rotate_bytes, self._kept_bytes, self._piece_bytes = rotate_bytes, kept_bytes, piece_bytes
        self._asked: Place | None = None
        self._dropped = 0  # lines, since somebody last asked
        self._let_go: set[str] = set()  # generations that no Traefik has open any more

    def run(self, stopping: threading.Event) -> None:
        """Until it is set."""
        pause_s = LOOK_S
        while not stopping.wait(pause_s):
            pause_s = LOOK_S
            try:
                self.look()
            except OSError as error:
                log.warning("the access log cannot be kept small: %s", error)
                pause_s = AGAIN_S

    def look(self) -> None:
        """Renames a file that has got large, and drops what there is no room for. Raises OSError."""
        with self._alone():
            if not self._path.exists():  # a rotation was broken off
                create_log(self._path, uid=self._uid, gid=self._gid)
            if self._path.stat().st_size > self._rotate_bytes:
                self._rotate()
            full = self._full()
            for generation in full[-1:]:
                open_anew(self._writers(generation))  # who has not noticed yet
            dropped = self._make_room(full)
        for place, descriptor in dropped:
            lines = _count(place, descriptor)
            with self._alone():
                if not self._dropped:
                    log.warning("nobody fetches the access log, and there is no room: its oldest lines are dropped")
                self._dropped += lines

    def read(self, asked: Place | None, *, hold_s: float = HOLD_S) -> Piece | None:
        """What is behind that place (None: where to begin); None when nothing comes for so long. Raises OSError."""
        deadline = time.monotonic() + hold_s
        watch = SpoolWatch([self._directory])
        try:
            while True:
                piece = self._next(asked)
                left = deadline - time.monotonic()
                if piece is not None or left <= 0:
                    return piece
                watch.wait(min(left, LOOK_S))
                time.sleep(min(left, GATHER_S))  # a busy router changes the file with each request
        finally:
            watch.close()

    def _next(self, asked: Place | None) -> Piece | None:
        with self._alone():
            present = self._present()
            known = [*self._full(), present]
            if asked is None or asked.generation not in known:
                return _go_on(known[0], missed=asked is not None)
            self._take_note(asked, known)
            if asked.generation == present and self._path.stat().st_size < asked.offset:
                self._rotate()  # it was cut: what comes now must not get places that others had
                known.append(self._present())
            following = known[known.index(asked.generation) + 1 :]
            done = bool(following) and not self._writers(asked.generation)
            path = self._path_of(asked.generation) if following else self._path
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return self._piece(descriptor, asked) or (_go_on(following[0]) if done else None)
        finally:
            os.close(descriptor)

    def _piece(self, descriptor: int, asked: Place) -> Piece | None:
        """Whole lines. One that is longer than a piece is left out."""
        data = os.pread(descriptor, self._piece_bytes, asked.offset)
        end = data.rfind(b"\n") + 1
        if end:
            return Piece(asked, data[:end], asked._replace(offset=asked.offset + end))
        place = asked.offset
        while len(data) == self._piece_bytes:
            place += len(data)
            data = os.pread(descriptor, self._piece_bytes, place)
            if b"\n" in data:
                return Piece(asked, b"", asked._replace(offset=place + data.index(b"\n") + 1))
        return None

    def _take_note(self, asked: Place, known: Sequence[str]) -> None:
        for generation in known[: known.index(asked.generation)]:
            self._path_of(generation).unlink(missing_ok=True)
        self._asked = asked
        if self._dropped:
            log.warning("%d lines of the access log were dropped while nobody fetched them", self._dropped)
            self._dropped = 0

    def _rotate(self) -> None:
        rotate(self._directory, uid=self._uid, gid=self._gid, to=self._path_of(self._present()).name)
        self._present()

    def _present(self) -> str:
        """The generation of access.log. It gets a new one when there is a full file of that name: a rotation that was
        broken off."""
        file = self._directory / "access.generation"
        try:
            known = file.read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            known = ""
        full = self._full()
        if _GENERATION.fullmatch(known) is None or known in full:
            number = 1 + max((_number(each) for each in (*full, known)), default=0)
            known = f"{number}.{secrets.token_hex(4)}"
            write(file, known + "\n", staging=self._directory / "staging", gid=self._gid)
        return known

    def _full(self) -> list[str]:
        """Oldest first."""
        names = [path.name.removeprefix("access.log.") for path in self._directory.glob("access.log.*")]
        return sorted((name for name in names if _GENERATION.fullmatch(name)), key=_number)

    def _path_of(self, generation: str) -> Path:
        return self._directory / f"access.log.{generation}"

    def _writers(self, generation: str) -> list[int]:
        """Traefiks that have a full file open: one that is on its way out writes to it until it ends."""
        if generation in self._let_go:
            return []
        found = writers(self._directory, self._path_of(generation))
        if not found:
            self._let_go.add(generation)
        return found

    def _make_room(self, full: Sequence[str]) -> list[tuple[Place, int]]:
        """What was dropped: from where on nobody has asked for it, and a descriptor of it."""
        sizes = {generation: self._path_of(generation).stat().st_size for generation in full}
        dropped = []
        for generation in full:
            if sum(sizes.values()) <= self._kept_bytes:
                break
            path, size = self._path_of(generation), sizes.pop(generation)
            begin = self._asked.offset if self._asked and self._asked.generation == generation else 0
            if begin < size:
                dropped.append((Place(generation, begin), os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)))
            path.unlink()
        return dropped

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _go_on(generation: str, *, missed: bool = False) -> Piece:
    return Piece(Place(generation, 0), b"", Place(generation, 0), missed)


def _count(place: Place, descriptor: int) -> int:
    """Lines from there on. Closes it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(place.offset)
        return sum(data.count(b"\n") for data in iter(lambda: file.read(1_000_000), b""))


def _number(generation: str) -> int:
    found = _GENERATION.fullmatch(generation)
    return int(found[1]) if found else 0
