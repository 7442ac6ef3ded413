"""Containers whose monitor was killed: nobody reads what they print any more and nobody would note their end, so they
are ended, and whoever waits for exits hears of it at once. The kernel says so (pidfd); nothing polls."""

from __future__ import annotations

import logging
import os
import select
import threading
from pathlib import Path

from skypanel.drivers.runtime.oci.monitor import monitor_of
from skypanel.drivers.runtime.oci.places import Places
from skypanel.drivers.runtime.oci.records import exit_file, read_state, running
from skypanel.drivers.runtime.procfs import ProcessId

log = logging.getLogger(__name__)
KILLED = "137"  # as a shell would say it: 128 + SIGKILL
END_S = 5.0


class MonitorWatch:
    """`look` finds new containers; their monitors are watched by a thread from then on."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._files: dict[int, str] = {}  # pidfd -> container
        self._known: dict[str, int] = {}  # container -> the pid of its monitor
        self._poll: select.epoll | None = None

    def look(self) -> None:
        """Idempotent. A container whose monitor is dead already is ended here."""
        with self._lock:
            if self._poll is None:
                self._poll = select.epoll()
                threading.Thread(target=self._wait, args=(self._poll,), name="monitors", daemon=True).start()
            bundles = list(self._places.containers.iterdir()) if self._places.containers.is_dir() else []
            present = {bundle.name for bundle in bundles}
            for gone in self._known.keys() - present:
                del self._known[gone]
        for bundle in bundles:
            self._watch(bundle)

    def _watch(self, bundle: Path) -> None:
        try:
            pid = int((bundle / "conmon.pid").read_text())
        except (OSError, ValueError):
            return  # still starting, or being removed
        with self._lock:
            if self._known.get(bundle.name) == pid or self._poll is None:
                return
            monitor = monitor_of(bundle)
            file = _open(monitor)
            if file is not None:
                self._known[bundle.name] = pid
                self._files[file] = bundle.name
                self._poll.register(file, select.EPOLLIN)
                return
        end_unwatched(bundle)

    def _wait(self, poll: select.epoll) -> None:
        while True:
            for file, _ in poll.poll():
                with self._lock:
                    name = self._files.pop(file, None)
                    poll.unregister(file)
                    os.close(file)
                if name is not None:
                    try:
                        end_unwatched(self._places.bundle(name))
                    except OSError as error:  # `look` comes by again
                        log.warning("%s, whose monitor died, could not be ended: %s", name, error)


def end_unwatched(bundle: Path) -> None:
    """A monitor that ends by itself has noted the exit before. Otherwise its container is ended, and that noted."""
    state, noted = read_state(bundle), exit_file(bundle)
    if state is None or noted is None or noted.exists():
        return
    if running(state):
        log.warning("the monitor of %s was killed: its container is ended, and replaced", bundle.name)
        state.process.kill()
        state.process.wait(END_S)
    if noted.exists() or not bundle.is_dir():
        return
    draft = noted.with_name(f".{noted.name}.lost")
    draft.write_text(KILLED)
    draft.rename(noted)


def _open(monitor: ProcessId | None) -> int | None:
    if monitor is None or not monitor.name().startswith("conmon"):
        return None
    try:
        return os.pidfd_open(monitor.pid)
    except OSError:
        return None
