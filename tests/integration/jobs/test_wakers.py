"""Messages through the unix socket."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from skypanel.jobs import SocketWaker


def test_a_message_reaches_the_listener_and_its_absence_bothers_nobody(tmp_path: Path) -> None:
    waker = SocketWaker(tmp_path / "wake.sock")
    waker.send("nobody listens, nothing is there")
    heard: list[str] = []
    arrived = threading.Event()
    with waker.listening(lambda message: (heard.append(message), arrived.set())[0]):
        SocketWaker(tmp_path / "wake.sock").send("cancel 1")
        assert arrived.wait(30)
        assert heard[0] == "cancel 1"
    waker.send("the listener is gone")


def test_a_restarted_listener_replaces_the_old_socket(tmp_path: Path) -> None:
    waker = SocketWaker(tmp_path / "wake.sock")
    with waker.listening(lambda message: None):
        pass
    arrived = threading.Event()
    with waker.listening(lambda message: arrived.set()):
        waker.send("job")
        assert arrived.wait(30)
    assert [path.name for path in tmp_path.iterdir()] == ["wake.sock"]


def test_a_socket_with_an_owner_is_writable_for_its_group_only(tmp_path: Path) -> None:
    path = tmp_path / "wake.sock"
    owner = tmp_path.stat()
    with SocketWaker(path, uid=owner.st_uid, gid=owner.st_gid).listening(lambda message: None):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def hold(going: threading.Event) -> None:
    assert going.wait(30)


def test_a_listener_that_is_behind_does_not_block_the_sender(tmp_path: Path) -> None:
    waker = SocketWaker(tmp_path / "wake.sock")
    going = threading.Event()
    with waker.listening(lambda message: hold(going)):
        for _ in range(2000):
            waker.send("job")
        going.set()


@pytest.mark.root
def test_an_unprivileged_process_reaches_a_worker_that_runs_as_root(tmp_path: Path) -> None:
    directory = Path(tempfile.mkdtemp(prefix="skypanel-test-wake-", dir="/tmp"))
    arrived = threading.Event()
    try:
        os.chown(directory, 65534, 65534)
        waker = SocketWaker(directory / "wake.sock", uid=65534, gid=65534)
        with waker.listening(lambda message: arrived.set()):
            assert [path.name for path in directory.iterdir()] == ["wake.sock"]
            send = "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'job', sys.argv[1])"
            command = ["/usr/bin/python3", "-c", send, str(directory / "wake.sock")]
            subprocess.run(command, check=True, user=65534, group=65534, extra_groups=[])
            assert arrived.wait(30)
    finally:
        shutil.rmtree(directory)
