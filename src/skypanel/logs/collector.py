"""Moves what containers and the router print into the log store, each line exactly once. One thread of the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import orjson

from skypanel.drivers.logstore.port import LogStore
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.logs.access import AccessTail
from skypanel.logs.budget import Budget
from skypanel.logs.feed import Feed, LogTarget
from skypanel.logs.spool_watch import SpoolWatch
from skypanel.logs.tailed_file import TailedFile

__all__ = ["Collector", "LogTarget"]

log = logging.getLogger(__name__)

GATHER_S = 0.008  # a busy container's lines are taken at most this often
SWEEP_S = 5.0  # how often files are looked at that nobody announced, or whose container may be gone
BACK_OFF_S = 2.0  # after a full disk
ORPHANS_KEPT_S = 3600.0
SUFFIX = ".log"
TARGET_SUFFIX = ".target"


class Collector:
    """`describe` tells where a container's lines go (None: unknown, asked again later), `gone` that it will print no
    more. A file of a container that is gone is deleted when all of it is in the store."""

    def __init__(
        self,
        *,
        store: LogStore,
        spool: Path,
        describe: Callable[[str], LogTarget | None],
        gone: Callable[[str], bool],
        access_log: Path | None = None,
        parse_access: Callable[[bytes], Any] | None = None,
        render_access: Callable[[Any], str] | None = None,
        rotate_access: Callable[[], None] = lambda: None,
        bytes_per_s: int = 8_000_000,
        burst_bytes: int = 128_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
        inotify: bool = True,
    ) -> None:
        self._store, self._spool = store, spool
        self._describe, self._gone = describe, gone
        self._bytes_per_s, self._burst_bytes = bytes_per_s, burst_bytes
        self._monotonic, self._now_ns, self._inotify = monotonic, now_ns, inotify
        self._make_access: Callable[[], AccessTail] | None = None
        if access_log is not None and parse_access is not None and render_access is not None:
            path, parse, render = access_log, parse_access, render_access
            self._make_access = lambda: AccessTail(store, path, parse=parse, render=render, rotate=rotate_access)
        self._access_dir = access_log.parent if access_log is not None else None
        self._access = self._make_access() if self._make_access else None
        self._feeds: dict[str, Feed] = {}
        self._budgets: dict[str, Budget] = {}
        self._stopping = Event()
        self._watch: SpoolWatch | None = None

    def run(self) -> None:
        """Until `stop`."""
        self._spool.mkdir(parents=True, exist_ok=True)
        directories = [self._spool, *([self._access_dir] if self._access_dir and self._access_dir.is_dir() else [])]
        watch = self._watch = SpoolWatch(directories, inotify=self._inotify)
        changed: set[Path] | None = None
        swept = self._monotonic()
        while not self._stopping.is_set():
            try:
                if changed is None:
                    self.sweep()
                    swept = self._monotonic()
                else:
                    self._take(changed)
            except (OSError, RuntimeFailed) as error:
                # A full disk, say: everything is still in the files, and is read again from the marks.
                log.warning("collecting logs: %s; trying again", error)
                self._start_over()
                changed = None
                self._stopping.wait(BACK_OFF_S)
                continue
            self._stopping.wait(GATHER_S)
            due = swept + SWEEP_S - self._monotonic()
            changed = watch.wait(max(0.0, due))
            if due <= 0:
                changed = None
        self._start_over()
        watch.close()

    def stop(self) -> None:
        self._stopping.set()
        if self._watch is not None:
            self._watch.ring()

    def sweep(self) -> None:
        """Reads every file to its present end; deletes those that are done. One turn of `run`; raises OSError."""
        names = sorted(path.name for path in self._spool.iterdir() if path.name.endswith(SUFFIX))
        ids = [name.removesuffix(SUFFIX) for name in names]
        done = [container_id for container_id in ids if self._gone(container_id)]
        self._drain(ids)
        for container_id in done:
            self._finish(container_id)
        for container_id in set(self._feeds) - set(ids):  # somebody removed the file
            self._drop_feed(container_id, forget=True)

    def _take(self, changed: set[Path]) -> None:
        self._drain(
            [
                path.name.removesuffix(SUFFIX)
                for path in changed
                if path.parent == self._spool and path.name.endswith(SUFFIX)
            ]
        )

    def _drain(self, container_ids: list[str]) -> None:
        """Reads in turns, so that one that prints much does not keep the others waiting."""
        waiting = list(container_ids)
        access = True
        while (waiting or access) and not self._stopping.is_set():
            waiting = [container_id for container_id in waiting if self._step(container_id)]
            access = access and self._access is not None and self._access.step()

    def _step(self, container_id: str) -> bool:
        feed = self._feeds.get(container_id) or self._open(container_id, complete=False)
        if feed is None:
            return False
        if feed.file.truncated():
            self._switch(container_id, feed)
            return True
        if feed.step():
            return True
        if feed.file.replaced():
            while feed.step():  # what came between the last read and the rotation
                pass
            self._switch(container_id, feed)
            return True
        return False

    def _switch(self, container_id: str, feed: Feed) -> None:
        """To the file that has taken the path."""
        if not feed.file.truncated():
            feed.finish()
        self._drop_feed(container_id, forget=True)

    def _open(self, container_id: str, *, complete: bool) -> Feed | None:
        try:
            file = TailedFile(self._spool / f"{container_id}{SUFFIX}")
        except FileNotFoundError:
            return None
        identity = file.identity(complete=complete)
        target = self._target(container_id) if identity is not None else None
        if identity is None or target is None:
            file.close()
            return None
        feed = self._feeds[container_id] = Feed(
            self._store,
            file,
            target,
            container_id=container_id,
            identity=identity,
            budget=self._budget(target.streams[0]),
            now_ns=self._now_ns,
        )
        return feed

    def _target(self, container_id: str) -> LogTarget | None:
        """Kept beside the file: the runtime may have forgotten a container before its last lines were read."""
        path = self._spool / f"{container_id}{TARGET_SUFFIX}"
        try:
            kept = orjson.loads(path.read_bytes())
            return LogTarget(tuple(kept["streams"]), kept["source"], kept["replica"], kept["log_format"])
        except (FileNotFoundError, orjson.JSONDecodeError):
            target = self._describe(container_id)
        if target is not None:
            making = path.with_suffix(".new")
            making.write_bytes(orjson.dumps(asdict(target)))
            making.rename(path)
        return target

    def _budget(self, stream: str) -> Budget:
        budget = self._budgets.get(stream)
        if budget is None:
            budget = self._budgets[stream] = Budget(
                bytes_per_s=self._bytes_per_s, burst_bytes=self._burst_bytes, monotonic=self._monotonic
            )
        return budget

    def _finish(self, container_id: str) -> None:
        """Its container is gone: the rest is stored, the file deleted, the mark forgotten last."""
        path = self._spool / f"{container_id}{SUFFIX}"
        feed = self._feeds.get(container_id) or self._open(container_id, complete=True)
        if feed is None:
            age_s = time.time() - path.stat().st_mtime
            if path.stat().st_size > 0 and age_s < ORPHANS_KEPT_S:
                return  # nobody knows whose it is, yet
            if path.stat().st_size > 0:
                log.warning("removing the log of %s: nobody knows whose it was", container_id)
        else:
            feed.finish()
        path.unlink(missing_ok=True)
        self._drop_feed(container_id, forget=True)
        (self._spool / f"{container_id}{TARGET_SUFFIX}").unlink(missing_ok=True)

    def _drop_feed(self, container_id: str, *, forget: bool) -> None:
        feed = self._feeds.pop(container_id, None)
        if feed is not None:
            feed.file.close()
            if forget:
                feed.forget()

    def _start_over(self) -> None:
        """Forgets what was read and not stored; the marks know where to begin again."""
        for container_id in list(self._feeds):
            self._drop_feed(container_id, forget=False)
        if self._access is not None and self._make_access is not None:
            self._access.close()
            self._access = self._make_access()
