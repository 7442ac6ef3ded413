"""A PostgreSQL server of our own, from the binaries that are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class PostgresCluster:
    """A server of our own. `stop` and `start` are for tests of outages."""

    binaries: Path
    directory: Path
    port: int
    buffers: str = "32MB"

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root. The log goes to a file: the server would inherit a pipe and keep it open.
        user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        log = self.directory / f"{program}.out"
        with log.open("w") as output:
            command = [str(self.binaries / program), *arguments]
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=self.directory, **user)
        if done.returncode != 0:
            pytest.fail(f"{program} failed: {log.read_text()[-2000:]}", pytrace=False)

    def start(self) -> None:
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
        options += f" -c max_connections=300 -c fsync=off -c full_page_writes=off -c shared_buffers={self.buffers}"
        data, log = str(self.directory / "data"), str(self.directory / "server.log")
        self.run("pg_ctl", "-w", "-t", "30", "-D", data, "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-t", "30", "-D", str(self.directory / "data"), "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


def _postgres_binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL is missing: install its server (Debian: postgresql), no service needed", pytrace=False)
    return Path(found).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop_when_we_are_gone(cluster: PostgresCluster) -> subprocess.Popen[bytes]:
    """A killed test run stops no server: this shell does, when its standard input ends with our process."""
    script = 'read -r _; [ -d "$2" ] && "$1/pg_ctl" -D "$2/data" -m immediate stop; rm -rf "$2"'
    command = ["sh", "-c", script, "sh", str(cluster.binaries), str(cluster.directory)]
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", start_new_session=True, **user
    )


@contextmanager
def postgres(*, buffers: str = "32MB") -> Iterator[PostgresCluster]:
    """A server that ends with the block, and with the process."""
    binaries = _postgres_binaries()
    directory = Path(tempfile.mkdtemp(prefix="skypanel-test-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    cluster = PostgresCluster(binaries, directory, _free_port(), buffers)
    watch = _stop_when_we_are_gone(cluster)
    try:
        cluster.run(
            "initdb", "-D", str(directory / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        watch.communicate()
