"""The server's directories `db` and `run` are its own; what a taken-over server puts there must not serve it root."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from skypanel.instance import Instance
from skypanel.manage.preflight import CannotStart
from skypanel.manage.prepare import prepare_database
from skypanel.settings import Settings
from skypanel.wiring.shared import open_database
from skypanel.wiring.work import hold

INSTANCE = Instance(id="0a0b0c0d", uid=64_321, gid=64_321, network="", server_port=1)

pytestmark = pytest.mark.root


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SKYPANEL_DATA_DIR", str(tmp_path))
    (tmp_path / "db").mkdir()
    return Settings()


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """A file of root's."""
    file = tmp_path / "shadow"
    file.write_text("root's")
    return file


@pytest.mark.parametrize("name", ["skypanel.db", "skypanel.db-wal", "skypanel.db-shm"])
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_start_gives_no_file_away_that_a_link_leads_to(
    settings: Settings, shadow: Path, name: str, kind: str
) -> None:
    link = settings.data_dir / "db" / name
    link.symlink_to(shadow) if kind == "symbolic" else link.hardlink_to(shadow)
    with pytest.raises(CannotStart):
        prepare_database(settings, INSTANCE)
    assert shadow.stat().st_uid == os.geteuid()
    assert shadow.read_text() == "root's"


def test_the_database_becomes_the_unprivileged_users(settings: Settings) -> None:
    prepare_database(settings, INSTANCE)
    prepare_database(settings, INSTANCE)
    status = (settings.data_dir / "db" / "skypanel.db").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (INSTANCE.uid, 0o600)


def test_the_worker_opens_no_database_through_a_link(settings: Settings, shadow: Path) -> None:
    (settings.data_dir / "db" / "skypanel.db").symlink_to(shadow)
    with pytest.raises(SystemExit, match="is a link"):
        open_database(settings, INSTANCE)
    open_database(settings, replace(INSTANCE, uid=None, gid=None)).close()  # nobody else's directory then


def test_the_workers_lock_empties_nothing_that_a_link_leads_to(tmp_path: Path, shadow: Path) -> None:
    lock = tmp_path / "worker.lock"
    lock.symlink_to(shadow)
    with pytest.raises(OSError, match="symbolic link"):
        hold(lock)
    assert shadow.read_text() == "root's"
    lock.unlink()
    hold(lock).close()
