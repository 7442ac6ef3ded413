"""Waking followers: one inotify descriptor and one thread for all of a process's followers; a short poll elsewhere."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

COALESCE_S = 0.008  # a busy stream wakes its followers at most this often
POLL_S = 0.1

Wake = Callable[[], None]


def open_inotify() -> Any | None:
    """An inotify instance, or None where there is none or the machine's limit is reached."""
    if sys.platform != "linux":
        return None
    import inotify_simple

    try:
        return inotify_simple.INotify(nonblocking=True)
    except OSError:
        return None


class Watcher:
    def __init__(self, *, inotify: bool = True) -> None:
        self._lock = threading.Lock()
        self._inotify = open_inotify() if inotify else None
        self._wakes: dict[Path, list[Wake]] = {}
        self._descriptors: dict[int, Path] = {}
        self._watched: dict[Path, int] = {}
        self._rings: dict[Path, int] = {}
        self._thread: threading.Thread | None = None
        self._bell, self._ringer = -1, -1
        self._closed = False

    def subscribe(self, directory: Path, wake: Wake) -> Callable[[], None]:
        with self._lock:
            self._wakes.setdefault(directory, []).append(wake)
            self._watch(directory)
            if self._thread is None:
                self._bell, self._ringer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else os.pipe()
                self._thread = threading.Thread(target=self._run, name="log-watcher", daemon=True)
                self._thread.start()
            self._ring()
        done = False

        def unsubscribe() -> None:
            nonlocal done
            with self._lock:
                if done:
                    return
                done = True
                wakes = self._wakes[directory]
                wakes.remove(wake)
                if not wakes:
                    del self._wakes[directory]
                    self._rings.pop(directory, None)
                    self._unwatch(directory)

        return unsubscribe

    def rings(self, directory: Path) -> int:
        """How often the followers of it were woken: while it stays, what was read to the end is still the end."""
        return self._rings.get(directory, 0)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
            self._ring()
        if thread is not None:
            thread.join()
            os.close(self._bell)
            os.close(self._ringer)
        if self._inotify is not None:
            self._inotify.close()

    def _ring(self) -> None:
        if self._ringer >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ringer, b".")

    def _watch(self, directory: Path) -> bool:
        """True when it is watched for the first time now: something may have come before."""
        if self._inotify is None or directory in self._watched:
            return False
        from inotify_simple import flags

        try:
            descriptor = self._inotify.add_watch(
                directory, flags.MODIFY | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
            )
        except OSError:  # not there yet, or the machine's limit of watches is reached: it is polled
            return False
        self._descriptors[descriptor] = directory
        self._watched[directory] = descriptor
        return True

    def _unwatch(self, directory: Path) -> None:
        descriptor = self._watched.pop(directory, None)
        if descriptor is not None and self._inotify is not None:
            self._descriptors.pop(descriptor, None)
            with contextlib.suppress(OSError):  # the directory is gone, and its watch with it
                self._inotify.rm_watch(descriptor)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        if self._inotify is not None:
            poller.register(self._inotify.fileno(), select.POLLIN)
        pause = threading.Event()
        while True:
            with self._lock:
                if self._closed:
                    return
                unwatched = any(directory not in self._watched for directory in self._wakes)
            poller.poll(POLL_S * 1000 if unwatched else None)
            with contextlib.suppress(BlockingIOError):
                os.read(self._bell, 4096)
            with self._lock:
                wakes = self._due()
            for wake in wakes:
                wake()
            pause.wait(COALESCE_S)

    def _due(self) -> list[Wake]:
        changed: set[Path] = set()
        if self._inotify is not None:
            changed = self._changed()
        for directory in self._wakes:
            if directory not in self._watched:
                self._watch(directory)
                changed.add(directory)
        for directory in changed & self._wakes.keys():
            self._rings[directory] = self._rings.get(directory, 0) + 1
        return [wake for directory in changed for wake in self._wakes.get(directory, ())]

    def _changed(self) -> set[Path]:
        from inotify_simple import flags

        assert self._inotify is not None
        changed: set[Path] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return set(self._wakes)
            directory = self._descriptors.get(event.wd)
            if directory is None:
                continue
            changed.add(directory)
            if event.mask & (flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED):
                self._unwatch(directory)
        return changed
