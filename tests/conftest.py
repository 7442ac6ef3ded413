"""A throw-away PostgreSQL server for the whole run, and an empty database of either kind for each test that asks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_server import PostgresCluster, postgres

import skypanel
from skypanel.db import Base, Database


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    with postgres() as cluster:
        yield cluster


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
