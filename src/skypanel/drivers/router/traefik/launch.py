"""Starts Traefik and keeps its ports: `python -I -S launch.py --dir … --host … --http-port … --https-port …`.

A small process (standard library only, so that it costs little memory) that opens the public ports, hands them to
Traefik by systemd's socket activation, and starts it again when it ends. The ports stay open meanwhile: a connection
made while no Traefik runs waits in the socket's queue instead of being refused.

Traefik accepts some 20 ms before it has read its files and answers 404 in that time. So each Traefik gets listeners of
its own beside the ones in use (SO_REUSEPORT; a one-instruction filter sends every connection to the oldest), and only
when it says that its files are loaded are the older ones closed; the kernel moves what waits there to the new ones
(`net.ipv4.tcp_migrate_req`). Where that is not to be had, listeners are shared and those 20 ms are accepted.

A launcher that was killed leaves Traefik serving; the next one takes the listeners over from it (pidfd_getfd), starts
its own Traefik and lets the old one finish. Signals: TERM and INT stop gracefully, HUP replaces Traefik without a
lost request, USR1 makes it open its access log again.

Exit status: 0 stopped, 64 wrong arguments, 73 a port cannot be had.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import sys
import time

if not __package__:  # Run as a file, without site-packages: only the files beside this one, no package's __init__.
    _place = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    for _name in ("skypanel.drivers.router.traefik", "skypanel.drivers.router", "skypanel.drivers", "skypanel"):
        sys.modules[_name] = type(sys)(_name)
        sys.modules[_name].__path__ = [_place]
        _place = os.path.dirname(_place)  # noqa: PTH120

from skypanel.drivers.router.traefik.child import SIGNALS, Child, find_binary
from skypanel.drivers.router.traefik.ports import bound, can_migrate, first_listener, open_listener, prefer, taken_over
from skypanel.drivers.router.traefik.processes import CannotStart, Process, alive, say, start_time
from skypanel.drivers.router.traefik.trim import trim

NAMES = ("web", "websecure")
GRACE_S = 12.0  # Traefik gives open requests 10 s
BACKOFF_S = (0.0, 0.0, 0.1, 0.2, 0.5, 1.0)
STABLE_S = 2.0
TRIM_AFTER_S = 1.0
HAND_OVER_S = 0.1  # for connections that were just being made or accepted when the ports changed hands


class Generation:
    """One Traefik: its process and the listeners it was given."""

    def __init__(self, *, pid: int, listeners: dict[str, socket.socket], internal: socket.socket) -> None:
        self.process: Process = (pid, start_time(pid))
        self.listeners = listeners
        self.ping = internal.getsockname()
        self.since = time.monotonic()

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(self.ping, timeout=0.5) as connection:
                connection.sendall(b"GET /ping HTTP/1.0\r\nHost: internal\r\n\r\n")
                return connection.recv(64).startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
        except OSError:
            return False


class Launcher:
    def __init__(self, options: argparse.Namespace) -> None:
        self.directory: str = os.path.abspath(options.dir)  # noqa: PTH100
        self.state_file = f"{self.directory}/launcher.json"
        self.wanted: dict[str, tuple[str, int]] = {
            "web": (options.host, options.http_port), "websecure": (options.host, options.https_port),
        }  # fmt: skip
        self.child = Child(
            directory=self.directory, binary=options.binary or find_binary(), uid=options.uid, gid=options.gid
        )
        self.grouped = can_migrate()
        self.serving: dict[str, socket.socket] = {}
        self.current: Generation | None = None
        self.pending: Generation | None = None
        self.draining: dict[Process, float] = {}  # process -> when to kill it
        self.failures = 0
        self.next_start = 0.0
        self.pokes = 0
        self.trim_at: float | None = None
        self.retired: dict[str, socket.socket] = {}
        self.retire_at = 0.0
        self.stopping = False

    # --- ports

    def open_ports(self) -> None:
        leftovers, inodes = self._leftovers()
        launchers, traefiks = leftovers
        for process in launchers:
            os.kill(process[0], signal.SIGKILL)
        for process in traefiks + launchers:
            if len(self.serving) < len(NAMES):
                self.serving = taken_over(process, inodes, self.wanted) if alive(process) else {}
        if len(self.serving) < len(NAMES):
            self.serving = {}
            for process in traefiks:
                self._end(process)
            self._bind(patience_s=3.0 if traefiks else 0.0)
        else:
            say("took the ports over from the Traefik of a launcher that was killed")
            for process in traefiks:  # it serves until the new one is ready
                self.draining[process] = 0.0

    def _bind(self, *, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                for name, flag in zip(NAMES, ("http-port", "https-port"), strict=True):
                    if name not in self.serving:
                        host, port = self.wanted[name]
                        self.serving[name] = first_listener(host, port, flag=flag, grouped=self.grouped)
                return
            except CannotStart:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.02)

    def _leftovers(self) -> tuple[tuple[list[Process], list[Process]], dict[str, int]]:
        try:
            with open(self.state_file, encoding="utf-8") as stream:  # noqa: PTH123
                state = json.load(stream)
            launchers: list[Process] = [(int(pid), str(start)) for pid, start in state["launchers"]]
            traefiks: list[Process] = [(int(pid), str(start)) for pid, start in state["traefiks"]]
            inodes = {name: int(state["listeners"][name]) for name in NAMES}
        except (OSError, ValueError, KeyError, TypeError):
            return ([], []), {}
        own = os.getpid()
        return ([p for p in launchers if alive(p) and p[0] != own], [p for p in traefiks if alive(p)]), inodes

    def _remember(self) -> None:
        traefiks = [g.process for g in (self.current, self.pending) if g is not None] + list(self.draining)
        state = {
            "launchers": [(os.getpid(), start_time(os.getpid()))],
            "traefiks": traefiks,
            "listeners": {name: os.fstat(listener.fileno()).st_ino for name, listener in self.serving.items()},
        }
        with open(f"{self.state_file}.tmp", "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(state, stream)
        os.replace(f"{self.state_file}.tmp", self.state_file)  # noqa: PTH105

    # --- generations

    def start(self) -> None:
        listeners = self.serving
        if self.grouped:
            for listener in self.serving.values():
                prefer(listener, 0)
            listeners = {name: open_listener(*self.wanted[name], grouped=True) for name in NAMES}
        with bound("127.0.0.1", 0, shared=False) as internal:
            pid = self.child.spawn({**listeners, "internal": internal})
            self.pending = Generation(pid=pid, listeners=listeners, internal=internal)
        self._remember()

    def promote(self, generation: Generation) -> None:
        """The new Traefik has loaded its files: it gets all new connections, and what came before it ends."""
        if self.current is not None:
            self.draining[self.current.process] = 0.0
        replaces = any(not until for until in self.draining.values())
        if generation.listeners is not self.serving:
            self.retired, self.retire_at = self.serving, 0.0
            if replaces:
                for listener in generation.listeners.values():
                    prefer(listener, 1)
                self.retire_at = time.monotonic() + HAND_OVER_S
        self.serving = generation.listeners
        self.current, self.pending = generation, None
        self.trim_at = time.monotonic() + TRIM_AFTER_S
        self._remember()
        if not self.retired:
            self.retire()

    def retire(self) -> None:
        """Ends the Traefiks that were replaced and closes the listeners before the present ones."""
        for process in [process for process, until in self.draining.items() if not until]:
            self._end(process)
        for listener in self.retired.values():
            listener.close()
        self.pokes = 10 if self.retired else 0
        self.retired = {}

    def poke(self) -> None:
        """Connections that the kernel moved to another listener do not wake who waits there; a new one does."""
        self.pokes -= 1
        for listener in self.serving.values():
            host, port = listener.getsockname()[:2]
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
            try:
                socket.create_connection((host, port), timeout=0.2).close()
            except OSError:
                continue  # Traefik is gone again: its end is handled where it is noticed

    def _end(self, process: Process) -> None:
        self.draining[process] = time.monotonic() + GRACE_S
        try:
            os.kill(process[0], signal.SIGTERM)
        except ProcessLookupError:
            self.draining.pop(process, None)

    def ended(self, pid: int, status: int) -> None:
        self.draining = {process: until for process, until in self.draining.items() if process[0] != pid}
        for generation in (self.current, self.pending):
            if generation is None or generation.process[0] != pid:
                continue
            lived = time.monotonic() - generation.since
            self.failures = 0 if lived > STABLE_S else min(self.failures + 1, len(BACKOFF_S) - 1)
            self.next_start = time.monotonic() + BACKOFF_S[self.failures]
            if generation is self.current:
                self.current = None
            else:
                self.pending = None
                if generation.listeners is not self.serving:
                    for listener in generation.listeners.values():
                        listener.close()
            if not self.stopping:
                code = os.waitstatus_to_exitcode(status)
                say(f"Traefik ended ({f'signal {-code}' if code < 0 else f'status {code}'}); it is started again")

    # --- the loop

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self.ended(pid, status)
        now = time.monotonic()
        for process, until in list(self.draining.items()):
            if not alive(process) and process[1]:
                del self.draining[process]
            elif until and now > until:
                os.kill(process[0], signal.SIGKILL)

    def step(self) -> float | None:
        """Does what is due; returns the seconds until something else is."""
        self.reap()
        now = time.monotonic()
        if self.pending is not None:
            if self.pending.is_ready():
                self.promote(self.pending)
                return 0.0
            return 0.005
        if self.retired:
            if now < self.retire_at:
                return self.retire_at - now
            self.retire()
        if self.pokes > 0:
            self.poke()
            return 0.03
        if self.current is None and now >= self.next_start:
            self.start()
            return 0.005
        if self.current is None:
            return self.next_start - now
        if self.trim_at is not None and now >= self.trim_at:
            trim(self.current.process[0])
            self.trim_at = None
        if self.trim_at is not None:
            return self.trim_at - now
        return 0.25 if self.draining else None

    def run(self) -> int:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        self.open_ports()
        while not self.stopping:
            wait = self.step()
            if select.select([reader], [], [], wait)[0]:
                for received in reader.recv(512):  # one byte a signal
                    self.handle(received)
        return self.stop()

    def handle(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stopping = True
        elif number == signal.SIGHUP and self.current is not None and self.pending is None:
            self.start()
        elif number == signal.SIGUSR1 and self.current is not None:
            os.kill(self.current.process[0], signal.SIGUSR1)

    def stop(self) -> int:
        """Open requests get ten seconds; new connections are refused at once."""
        for generation in (self.current, self.pending):
            if generation is not None:
                self._end(generation.process)
                for listener in generation.listeners.values():
                    listener.close()
        for listener in self.serving.values():
            listener.close()
        self.retire()
        while self.draining:
            self.reap()
            time.sleep(0.02)
        os.unlink(self.state_file)  # noqa: PTH108
        return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="router", description="Keeps the public ports and Traefik behind them.")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--https-port", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--binary")
    try:
        return Launcher(parser.parse_args(arguments)).run()
    except CannotStart as error:
        say(str(error))
        return 73


if __name__ == "__main__":
    sys.exit(main())
