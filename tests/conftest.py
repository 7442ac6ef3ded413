"""A throw-away PostgreSQL server for the whole run, and an empty database of either kind for each test that asks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import skypanel
from skypanel.db import Base, Database


@dataclass(frozen=True)
class PostgresCluster:
    """A server of our own. `stop` and `start` are for tests of outages."""

    binaries: Path
    directory: Path
    port: int

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
        options += " -c fsync=off -c full_page_writes=off -c shared_buffers=32MB"
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


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    binaries = _postgres_binaries()
    directory = Path(tempfile.mkdtemp(prefix="skypanel-test-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    cluster = PostgresCluster(binaries=binaries, directory=directory, port=_free_port())
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


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """The URL of an empty database that lives as long as the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    yield postgres_cluster.url(name)
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: PostgresCluster) -> str:
    """The name of a database with every table, which is copied far faster than the tables are made."""
    name = "template_of_tests"
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with contextlib.closing(Database(postgres_cluster.url(name))) as database:
        _every_table(database)
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with every table, once on SQLite and once on PostgreSQL: what whole suites run on."""
    if request.param == "sqlite":
        with contextlib.closing(Database(f"sqlite:///{tmp_path / 'test.db'}")) as database:
            _every_table(database)
            yield database
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
    template: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            with contextlib.closing(Database(cluster.url(name))) as database:
                yield database
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _every_table(database: Database) -> None:
    for room in pkgutil.iter_modules(skypanel.__path__, "skypanel."):
        if room.ispkg and importlib.util.find_spec(f"{room.name}.models") is not None:
            importlib.import_module(f"{room.name}.models")
    Base.metadata.create_all(database.engine)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with every table of every room."""
    database = Database(database_url)
    _every_table(database)
    with contextlib.closing(database):
        yield database
