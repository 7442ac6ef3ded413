"""An SSH server on a machine of a cluster under test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines import Node, sh


@dataclass(frozen=True)
class Keys:
    private: str
    host: str  # "ssh-ed25519 AAAA…"


@contextmanager
def ssh_server(node: Node, directory: Path) -> Iterator[Keys]:
    """For root, with a key. On port 22 of the machine's own address."""
    assert node.process is not None
    inside = ["nsenter", "-t", str(node.process.pid), "-n", "-m", "-u"]
    with sshd(directory, node.address, 22, inside=inside) as keys:
        yield keys


@contextmanager
def sshd(directory: Path, address: str, port: int, *, inside: Sequence[str] = ()) -> Iterator[Keys]:
    """`inside`: the command that enters the machine, without it this one."""
    directory.mkdir(exist_ok=True)
    for name in ("user", "host"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(directory / name))
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {"AuthorizedKeysFile": directory / "user.pub", "StrictModes": "no", "UsePAM": "no", "PidFile": "none",
               "ListenAddress": address, "Port": port}  # fmt: skip
    command = [*inside, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(directory / "host"),
               *(f"-o{name}={value}" for name, value in options.items())]  # fmt: skip
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            while b"listening" not in (directory / "log").read_bytes():
                assert server.poll() is None, (directory / "log").read_text()
                time.sleep(0.05)
            public = (directory / "host.pub").read_text().split()
            yield Keys((directory / "user").read_text(), " ".join(public[:2]))
        finally:
            server.terminate()
