"""What tasks print, wherever they run: followed through a manager into the spool that the collector reads."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.oci.logfile import last_lines

log = logging.getLogger(__name__)
AGAIN_S = 0.5
ASK_ANEW_S = 30.0
ANSWER_S = 5.0
STREAMS = {1: b"stdout", 2: b"stderr"}
_STAMPED = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (.*)", re.DOTALL)


class TaskLogs:
    """Writes `<container id>.log` in the format of conmon, one thread per followed task. A follower that begins again
    goes on behind the last line that was written.

    The engine does not end the stream of a task that has ended: so it is asked anew every now and then, and a last
    time without following when its end is known."""

    def __init__(self, engine: EngineClient, spool: Path) -> None:
        self._engine = engine
        self._spool = spool
        self._lock = threading.Lock()
        self._following: dict[str, _Followed] = {}

    def path(self, container_id: str) -> Path:
        return self._spool / f"{container_id}.log"

    def follow(self, container_id: str, task: str) -> None:
        """Until `complete`. Does nothing when it is followed already."""
        with self._lock:
            known = self._following.get(container_id)
            if known is not None and known.task == task:
                return
            if known is not None:
                known.over.set()
            self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path(container_id).touch(mode=0o600)
            found = self._following[container_id] = _Followed(task, _last_stamp(self.path(container_id)))
        thread = threading.Thread(target=self._follow, args=(container_id, found), name=f"log-{task}", daemon=True)
        thread.start()

    def complete(self, container_id: str) -> None:
        """It prints no more: what is not yet in its file is read while the engine still has it."""
        with self._lock:
            known = self._following.pop(container_id, None)
        if known is None:
            return
        known.over.set()
        try:
            self._write(container_id, known, follow=False)
        except (EngineFailed, OSError) as error:
            log.debug("the end of the output of %s is lost: %s", container_id, error)

    def last_lines(self, container_id: str, task: str, count: int) -> list[str]:
        if (found := last_lines(self.path(container_id), count)) or not task:
            return found
        try:
            lines = list(self._records(task, follow=False, since="0", tail=str(count)))
        except EngineFailed:
            return []
        return [text.decode(errors="replace").rstrip("\n") for _, _, text in lines][-count:]

    def close(self) -> None:
        with self._lock:
            for known in self._following.values():
                known.over.set()
            self._following.clear()

    def _follow(self, container_id: str, found: _Followed) -> None:
        while not found.over.is_set():
            try:
                self._write(container_id, found, follow=True)
            except EngineFailed as error:
                if error.missing:
                    return
                log.debug("the output of %s breaks off: %s", container_id, error)
            except OSError as error:
                log.warning("the output of %s cannot be kept: %s", container_id, error)
            found.over.wait(AGAIN_S)

    def _write(self, container_id: str, found: _Followed, *, follow: bool) -> None:
        records = self._records(found.task, follow=follow, since=_since(found.last))
        with self.path(container_id).open("ab", buffering=0) as out:
            for stream, stamp, text in records:
                with found.lock:
                    if follow and found.over.is_set():
                        return
                    if stamp > found.last:
                        whole = b"F" if text.endswith(b"\n") else b"P"
                        out.write(b"%s %s %s %s\n" % (stamp, STREAMS[stream], whole, text.removesuffix(b"\n")))
                        found.last = stamp

    def _records(self, task: str, *, follow: bool, since: str, tail: str = "all") -> Iterator[tuple[int, bytes, bytes]]:
        """(stream, time, text) of each line."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1"}
        query |= {"follow": str(int(follow)), "tail": tail, "since": since}
        frames = self._engine.output(f"/tasks/{task}/logs", query, read_timeout_s=ASK_ANEW_S if follow else ANSWER_S)
        for stream, frame in frames:
            if (found := _STAMPED.match(frame)) is not None and stream in STREAMS:
                yield stream, found[1], found[2]


@dataclass
class _Followed:
    task: str
    last: bytes  # the stamp of the last line that was written
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)


def _since(stamp: bytes) -> str:
    """Seconds of the epoch: the second that the last line was printed in is read again."""
    if not stamp:
        return "0"
    return str(int(datetime.fromisoformat(stamp[:19].decode() + "+00:00").timestamp()))


def _last_stamp(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65_536))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return b""
    return lines[-1].partition(b" ")[0] if lines else b""
