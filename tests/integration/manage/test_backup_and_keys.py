import json
import sqlite3
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skypanel.accounts.models import User
from skypanel.apps.models import App, EnvVar
from skypanel.apps.vault import Undecryptable, Vault
from skypanel.db import Database
from skypanel.errors import Invalid
from skypanel.instance import Instance, instance_bytes
from skypanel.manage.admin import create_admin
from skypanel.manage.backup import CannotBackUp, read_backup, write_backup
from skypanel.manage.keys import ensure_keys, master_keys
from skypanel.manage.layout import ensure_layout
from skypanel.manage.migrate import upgrade
from skypanel.manage.preflight import CannotStart
from skypanel.manage.rotate import rotate_master_key
from skypanel.orgs.models import Organization
from skypanel.orgs.plans import seed_plans
from skypanel.settings import Settings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def settings_in(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, runtime="process")


@pytest.fixture
def platform(tmp_path: Path) -> Settings:
    """A data directory as `up` leaves it, with one user, one application and one variable."""
    settings = settings_in(tmp_path / "data")
    ensure_layout(settings.data_dir, uid=None, gid=None)
    instance = Instance(id="0a1b2c3d", uid=None, gid=None, network="", server_port=4711)
    (settings.data_dir / "instance.json").write_bytes(instance_bytes(instance))
    ensure_keys(settings.data_dir / "keys", gid=None)
    slug = settings.data_dir / "slugs" / "app" / "0.tar.zst"
    slug.parent.mkdir()
    slug.write_bytes(b"slug")
    database = Database(settings.effective_database_url)
    upgrade(database)
    with database.transaction() as session:
        plan = seed_plans(session, now=NOW)[0]
        organization = Organization(slug="mine", name="Mine", created_at=NOW)
        session.add(organization)
        session.flush()
        app = App(
            organization_id=organization.id, name="Shop", slug="shop", uid=200_000, git_url="https://x/y.git",
            branch="",
            buildpacks=[], plan_id=plan.id, plan_slug=plan.slug, cpu_millis=1, memory_mb=1, disk_mb=1, max_replicas=1,
            price_per_hour_micro=1, formation={}, created_at=NOW,
        )  # fmt: skip
        session.add(app)
        session.flush()
        value = Vault(master_keys(settings.data_dir / "keys")).encrypt(b"secret")
        session.add(EnvVar(app_id=app.id, name="KEY", value=value, created_at=NOW, updated_at=NOW))
    database.close()
    return settings


def variable(settings: Settings) -> bytes:
    database = Database(settings.effective_database_url)
    with database.transaction() as session:
        value = session.query(EnvVar).one().value
    database.close()
    return Vault(master_keys(settings.data_dir / "keys")).decrypt(value)


def test_a_backup_brings_everything_back_into_an_empty_directory(platform: Settings, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar"
    assert write_backup(platform, target=archive) == archive.stat().st_size
    assert archive.stat().st_mode & 0o777 == 0o600
    elsewhere = settings_in(tmp_path / "elsewhere")
    read_backup(elsewhere, source=archive)
    assert variable(elsewhere) == b"secret"
    assert (elsewhere.data_dir / "slugs/app/0.tar.zst").read_bytes() == b"slug"
    assert (elsewhere.data_dir / "instance.json").read_bytes() == (platform.data_dir / "instance.json").read_bytes()
    assert (elsewhere.data_dir / "keys/master.keys").stat().st_mode & 0o777 == 0o600
    assert not (elsewhere.data_dir / "manifest.json").exists()


def test_what_is_not_committed_yet_is_not_in_the_backup(platform: Settings, tmp_path: Path) -> None:
    writer = sqlite3.connect(platform.data_dir / "db/skypanel.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM env_vars")
    write_backup(platform, target=tmp_path / "backup.tar")
    writer.execute("COMMIT")
    writer.close()
    elsewhere = settings_in(tmp_path / "elsewhere")
    read_backup(elsewhere, source=tmp_path / "backup.tar")
    assert variable(elsewhere) == b"secret"


def test_a_backup_never_overwrites(platform: Settings, tmp_path: Path) -> None:
    (tmp_path / "backup.tar").write_text("precious")
    with pytest.raises(CannotBackUp, match="exists"):
        write_backup(platform, target=tmp_path / "backup.tar")
    write_backup(platform, target=tmp_path / "other.tar")
    with pytest.raises(CannotBackUp, match="holds a platform already"):
        read_backup(platform, source=tmp_path / "other.tar")


def test_another_archive_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        (tmp_path / "manifest.json").write_text(json.dumps({"format": 1}))
        archive.add(tmp_path / "manifest.json", "manifest.json")
    settings = settings_in(tmp_path / "data")
    with pytest.raises(CannotBackUp, match="no backup"):
        read_backup(settings, source=tmp_path / "x.tar")
    assert {path.name for path in settings.data_dir.iterdir()} == {"supervise"}


def test_rotating_the_key_keeps_variables_readable_and_forgets_the_old_key(platform: Settings) -> None:
    (old,) = master_keys(platform.data_dir / "keys")
    assert rotate_master_key(platform) == 1
    (new,) = master_keys(platform.data_dir / "keys")
    assert new != old
    assert variable(platform) == b"secret"
    database = Database(platform.effective_database_url)
    with database.transaction() as session, pytest.raises(Undecryptable):
        Vault([old]).decrypt(session.query(EnvVar).one().value)
    database.close()


def test_keys_of_a_platform_that_is_not_there_are_not_rotated(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no platform"):
        rotate_master_key(settings_in(tmp_path))


def test_an_admin_is_made_or_an_existing_user_becomes_one(platform: Settings) -> None:
    assert create_admin(platform, email="Admin@Example.com", name="A", password="correct horse") is True
    assert create_admin(platform, email="admin@example.com", name="A", password="battery staple") is False
    database = Database(platform.effective_database_url)
    with database.transaction() as session:
        assert session.query(User).one().is_admin
    database.close()
    with pytest.raises(Invalid):
        create_admin(platform, email="b@example.com", name="B", password="short")


def test_a_slug_that_goes_while_the_backup_is_written_is_left_out(
    platform: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = platform.data_dir / "slugs" / "app" / "1.tar.zst"
    going.write_bytes(b"no longer wanted")
    add = tarfile.TarFile.add

    def late(archive: tarfile.TarFile, name: Path, *given: object, **named: object) -> None:
        if name == going:
            going.unlink()
        add(archive, name, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "add", late)
    write_backup(platform, target=tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "backup.tar") as archive:
        assert [name for name in archive.getnames() if name.endswith(".zst")] == ["slugs/app/0.tar.zst"]


def test_a_backup_that_cannot_be_written_is_one_line_and_leaves_nothing(
    platform: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with pytest.raises(CannotBackUp, match="No space left on device"):
        write_backup(platform, target=tmp_path / "backup.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
