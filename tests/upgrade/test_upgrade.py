"""Every earlier release's database becomes today's, whole, on both databases, and today's platform serves it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from site_under_test import SKYPANEL, Site, site

from skypanel.db import Database
from skypanel.manage.migrate import NewerDatabase, configuration, current, head, load_models, upgrade

SNAPSHOTS = sorted((Path(__file__).parent / "snapshots").glob("*.sql"))
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=SNAPSHOTS, ids=lambda path: path.stem)
def snapshot(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def sqlite_from(snapshot: Path, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(snapshot.read_text())


def copy_to_postgres(source: Path, target: Database, revision: str) -> None:
    """The same rows in the tables that the revision of that time makes."""
    with target.engine.begin() as connection:
        command.upgrade(configuration(connection), revision)
    tables = sa.MetaData()
    tables.reflect(target.engine)
    with contextlib.closing(sqlite3.connect(source)) as old, target.engine.begin() as new:
        old.row_factory = sqlite3.Row
        for table in tables.sorted_tables:
            if table.name == "alembic_version":
                continue
            rows = [dict(row) for row in old.execute(f'SELECT * FROM "{table.name}"')]
            new.execute(sa.delete(table))
            if rows:
                new.execute(sa.insert(table), [_typed(table, row) for row in rows])


def _typed(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    converters: dict[type[Any], Callable[[Any], Any]] = {
        sa.DateTime: datetime.fromisoformat, sa.JSON: json.loads, sa.Boolean: bool,
    }  # fmt: skip

    def typed(name: str, value: Any) -> Any:
        for kind, convert in converters.items():
            if value is not None and isinstance(table.c[name].type, kind):
                return convert(value)
        return value

    return {name: typed(name, value) for name, value in row.items()}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request: pytest.FixtureRequest, snapshot: Path, tmp_path: Path) -> Iterator[Database]:
    """A database as the release of the snapshot left it."""
    file = tmp_path / "old.db"
    sqlite_from(snapshot, file)
    revision = snapshot.name.split("-")[0]
    if request.param == "sqlite":
        database = Database(f"sqlite:///{file}")
    else:
        database = Database(request.getfixturevalue("postgres_url"))
        copy_to_postgres(file, database, revision)
    assert current(database) == revision
    with contextlib.closing(database):
        yield database


def everything(database: Database) -> Rows:
    """Every row of every table, as the database's own types tell it."""
    tables = sa.MetaData()
    with database.engine.connect() as connection:
        tables.reflect(connection)
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


def test_no_row_and_no_value_is_lost(old: Database) -> None:
    before = everything(old)
    assert len(before["apps"]) == 3
    assert len(before["deployments"]) >= 5
    upgrade(old)
    assert current(old) == head()
    after = everything(old)
    for table, rows in before.items():
        assert len(after[table]) >= len(rows), table
        key = [column.name for column in load_models().tables[table].primary_key]
        found = {tuple(row[name] for name in key): row for row in after[table]}
        for row in rows:
            now = found[tuple(row[name] for name in key)]
            assert {name: now[name] for name in row if name in now} == {name: row[name] for name in row if name in now}


def test_it_has_exactly_the_tables_of_today(old: Database) -> None:
    upgrade(old)
    with old.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [str(difference) for difference in compare_metadata(context, load_models())]
    # PostgreSQL drops a unique constraint over the columns of the primary key when it makes the table.
    redundant = "buildpack_names" if old.dialect == "postgresql" else None
    assert [each for each in found if redundant is None or redundant not in each] == []


def test_a_newer_database_is_refused_and_left_as_it_is(old: Database) -> None:
    upgrade(old)
    with old.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = everything(old)
    with pytest.raises(NewerDatabase, match="revision 9999"):
        upgrade(old)
    assert current(old) == "9999"
    assert everything(old) == before


@pytest.mark.parametrize("verb", ["migrate", "up"])
def test_the_command_line_says_so_in_one_line(verb: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "db").mkdir(parents=True)
    file = data / "db" / "skypanel.db"
    sqlite_from(SNAPSHOTS[-1], file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    environment = {**os.environ, "SKYPANEL_DATA_DIR": str(data), "SKYPANEL_RUNTIME": "process"}
    done = subprocess.run([SKYPANEL, verb], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "a newer one has migrated it" in " ".join(said.split()), said
    assert "Traceback" not in said


@pytest.fixture
def upgraded(snapshot: Path, tmp_path: Path) -> Iterator[Site]:
    """Today's platform, started on a data directory with the old database."""
    if os.geteuid() != 0:
        pytest.fail("this test runs real containers and needs root")
    (tmp_path / "data" / "db").mkdir(parents=True)
    sqlite_from(snapshot, tmp_path / "data" / "db" / "skypanel.db")
    with site(tmp_path) as running:
        yield running


@pytest.mark.root
def test_todays_platform_serves_the_old_data(upgraded: Site) -> None:
    login = {"email": "ada@example.org", "password": "a long password of ada"}
    answer = upgraded.http.post(f"{upgraded.url}/api/auth/login", json=login)
    assert answer.status_code == 200, answer.text
    http = httpx.Client(base_url=upgraded.url, headers={"Authorization": f"Bearer {answer.json()['token']}"})
    with http:
        organization = answer.json()["organizations"][0]["id"]
        assert {app["slug"] for app in http.get("/api/paas/apps").json()["items"]} == {"shop", "broken"}
        shop = http.get("/api/paas/apps/shop").json()["app"]
        assert (shop["current_version"], shop["formation"], shop["plan"]["slug"]) == (3, {"web": 2}, "pro")
        deployments = http.get("/api/paas/apps/shop/deployments").json()["items"]
        assert [(d["version"], d["kind"]) for d in deployments] == [(3, "rollback"), (2, "deploy"), (1, "deploy")]
        failed = http.get("/api/paas/apps/broken/deployments/1").json()["deployment"]
        assert failed["status"] == "failed"
        assert failed["reason"]
        activity = http.get(f"/api/organizations/{organization}/activity").json()["items"]
        assert any("shop" in json.dumps(entry) for entry in activity)
