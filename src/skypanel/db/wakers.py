"""How another process learns of a committed change at once instead of at its next look.

A message is a hint and never believed: who hears one looks into the database. Losing one costs at most the hearer's
own interval of looking. `jobs.wakers` wakes the worker this way, `db.changes` the pages that show what changed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import random
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from skypanel.db.session import Session, after_commit

log = logging.getLogger(__name__)
Heard = Callable[[str], None]
LARGEST = 3000  # bytes of a message; PostgreSQL takes 8,000, a datagram more


class Waker(Protocol):
    def announce(self, session: Session, message: str) -> None:
        """Sends `message` when, and only when, the session's transaction commits. Never fails the transaction."""
        ...

    def listening(self, heard: Heard) -> AbstractContextManager[None]:
        """While entered, `heard(message)` is called for each message, in a thread of the waker's."""
        ...


class LocalWaker:
    """For a server and a worker in one process."""

    def __init__(self) -> None:
        self._ears: list[Heard] = []

    def announce(self, session: Session, message: str) -> None:
        after_commit(session, f"{id(self)} {message}", partial(self._tell, message))

    def _tell(self, message: str) -> None:
        for heard in tuple(self._ears):
            heard(message)

    @contextmanager
    def listening(self, heard: Heard) -> Iterator[None]:
        self._ears.append(heard)
        try:
            yield
        finally:
            self._ears.remove(heard)


class SocketWaker:
    """A unix datagram socket at `path`: any process sends, one listens.

    The listening process owns the socket. With `uid` and `gid` it is writable for these only, else for everyone who
    reaches the directory: a forged message makes the listener look, nothing more.
    """

    def __init__(self, path: Path, *, uid: int | None = None, gid: int | None = None) -> None:
        self.path = path
        self._uid, self._gid = uid, gid

    def announce(self, session: Session, message: str) -> None:
        after_commit(session, f"{id(self)} {message}", partial(self.send, message))

    def send(self, message: str) -> None:
        """Never blocks and never raises for a listener that is away or behind: it will look by itself."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                with _reachable(self.path) as address:
                    sender.sendto(message.encode(), address)
            except OSError as error:
                log.debug("nobody was woken: %s", errno.errorcode.get(error.errno or 0, str(error)))

    @contextmanager
    def listening(self, heard: Heard) -> Iterator[None]:
        stopping = threading.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            self._bind(receiver)
            receiver.settimeout(1.0)
            thread = threading.Thread(target=self._hear, args=(receiver, heard, stopping), name="wake", daemon=True)
            thread.start()
            try:
                yield
            finally:
                stopping.set()
                self.send("stop")
                thread.join()

    def _bind(self, receiver: socket.socket) -> None:
        # Made in a directory that is ours alone and moved from there: senders never meet a socket they may not write
        # to, and whoever else may write beside `path` cannot slip another file under our chown.
        private = tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent)
        directory = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(directory).st_uid != os.geteuid():
                raise PermissionError(f"{private} was replaced while a socket was made in it")
            with _reachable(Path(private, "socket"), directory) as address:
                receiver.bind(address)
            if self._uid is None and self._gid is None:
                os.chmod("socket", 0o666, dir_fd=directory)  # noqa: S103  a message is a hint, forged or not
            else:
                uid, gid = (-1 if owner is None else owner for owner in (self._uid, self._gid))
                os.chmod("socket", 0o660, dir_fd=directory)
                os.chown("socket", uid, gid, dir_fd=directory, follow_symlinks=False)
            os.rename("socket", self.path, src_dir_fd=directory)
        finally:
            os.close(directory)
            with contextlib.suppress(OSError):
                Path(private).rmdir()

    @staticmethod
    def _hear(receiver: socket.socket, heard: Heard, stopping: threading.Event) -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                heard(receiver.recv(LARGEST).decode(errors="replace"))


class PostgresWaker:
    """NOTIFY in the transaction, LISTEN on a connection of its own that comes back by itself."""

    def __init__(self, url: sa.URL, *, channel: str) -> None:
        self._channel = channel
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)

    def announce(self, session: Session, message: str) -> None:
        notify(session, self._channel, message)

    @contextmanager
    def listening(self, heard: Heard) -> Iterator[None]:
        stopping = threading.Event()
        thread = threading.Thread(target=self._listen, args=(heard, stopping), name="listen", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _listen(self, heard: Heard, stopping: threading.Event) -> None:
        import psycopg  # 9 MB in every process, which a platform on SQLite does without

        failures = 0
        while not stopping.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=5) as connection:
                    connection.execute(f"LISTEN {self._channel}")
                    heard("")  # what was committed before we listened
                    failures = 0
                    while not stopping.is_set():
                        for notice in connection.notifies(timeout=0.5):
                            heard(notice.payload)
            except psycopg.OperationalError as error:
                if failures == 0:
                    log.warning(
                        "not listening for messages, looking by the clock instead: %s", str(error).splitlines()[0]
                    )
                failures += 1
                stopping.wait(min(5.0, 0.1 * 2**failures) * random.uniform(0.5, 1.0))  # noqa: S311  spreads, hides nothing


def notify(session: Session, channel: str, message: str) -> None:
    session.connection().execute(sa.select(sa.func.pg_notify(channel, message)))


@contextmanager
def _reachable(path: Path, directory: int | None = None) -> Iterator[str]:
    """`path` as an address of at most 107 bytes, the kernel's limit: a long one goes through its open directory, and so
    does any one whose `directory` is open already."""
    if directory is not None:
        yield f"/proc/self/fd/{directory}/{path.name}"
    elif len(os.fsencode(path)) < 100:
        yield str(path)
    else:
        opened = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{opened}/{path.name}"
        finally:
            os.close(opened)
