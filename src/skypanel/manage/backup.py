"""Backup and restore: one archive with a consistent snapshot of the database, the keys and the slugs.

manifest.json     {"format": 1, "version", "created_at", "database": "sqlite" | "postgresql", "revision"}
instance.json     the platform's id
keys/…            without them no variable can be read
db/skypanel.db    or db/dump.pgc, of pg_dump's custom format
slugs/…           what releases are made of: written once, so that they may be copied while the platform runs
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import orjson

from skypanel import __version__
from skypanel.db import Database
from skypanel.drivers.shell import CommandFailed, run
from skypanel.instance import FILE, read_instance
from skypanel.kit.clock import SystemClock, rfc3339
from skypanel.manage.layout import ensure_layout
from skypanel.manage.migrate import current
from skypanel.manage.preflight import CannotStart, check_data_dir, lock
from skypanel.settings import Settings

FORMAT = 1


class CannotBackUp(Exception):
    """One line that says what to do."""


def write_backup(settings: Settings, *, target: Path) -> int:
    """Returns the archive's size in bytes. The platform may run meanwhile. Raises CannotBackUp."""
    if read_instance(settings.data_dir) is None:
        raise CannotBackUp(f"There is no platform in {settings.data_dir}: set SKYPANEL_DATA_DIR.")
    if target.exists():
        raise CannotBackUp(f"{target} exists: choose another name.")
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    database = Database(settings.effective_database_url)
    try:
        manifest = {
            "format": FORMAT, "version": __version__, "created_at": rfc3339(SystemClock().now()),
            "database": database.dialect, "revision": current(database),
        }  # fmt: skip
    finally:
        database.close()
    try:
        with tempfile.TemporaryDirectory(dir=settings.data_dir / "supervise") as scratch:
            (Path(scratch) / "manifest.json").write_bytes(orjson.dumps(manifest))
            # The snapshot first: every slug that it names is there already, since slugs are written before their rows.
            name = _snapshot(settings, Path(scratch), dialect=str(manifest["database"]))
            _pack(settings.data_dir, Path(scratch), name, partial)
        partial.rename(target)
        return target.stat().st_size
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CannotBackUp(f"The backup could not be written: {error}") from error


def _pack(data_dir: Path, scratch: Path, snapshot: str, partial: Path) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(scratch / "manifest.json", "manifest.json")
        archive.add(scratch / snapshot, f"db/{snapshot}")
        archive.add(data_dir / FILE, FILE)
        archive.add(data_dir / "keys", "keys")
        for path in sorted((data_dir / "slugs").rglob("*")):
            # What retention, or a delete, takes away meanwhile is no longer wanted.
            with contextlib.suppress(FileNotFoundError):
                archive.add(path, str(path.relative_to(data_dir)), recursive=False)
        file.flush()
        os.fsync(file.fileno())


def read_backup(settings: Settings, *, source: Path) -> None:
    """Into an empty data directory (and, for PostgreSQL, an empty database). Raises CannotBackUp."""
    try:
        check_data_dir(settings.data_dir)
        if read_instance(settings.data_dir) is not None:
            raise CannotBackUp(f"{settings.data_dir} holds a platform already: choose an empty SKYPANEL_DATA_DIR.")
        held = lock(settings.data_dir)
    except CannotStart as error:
        raise CannotBackUp(str(error)) from error
    try:
        with tarfile.open(source) as archive:
            manifest = _manifest(archive)
            if manifest["database"] == "postgresql" and settings.database_url is None:
                raise CannotBackUp("This backup is of PostgreSQL: set SKYPANEL_DATABASE_URL to an empty database.")
            archive.extractall(settings.data_dir, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise CannotBackUp(f"{source} cannot be read: {error}") from error
    finally:
        os.close(held)
    (settings.data_dir / "manifest.json").unlink()
    dump = settings.data_dir / "db" / "dump.pgc"
    if dump.exists():
        _postgres("pg_restore", settings, ["--no-owner", "--exit-on-error", "--dbname", _plain(settings), str(dump)])
        dump.unlink()
    instance = read_instance(settings.data_dir)
    assert instance is not None, "the archive was checked for it"
    ensure_layout(settings.data_dir, uid=instance.uid, gid=instance.gid)
    _own(settings.data_dir / "keys", gid=instance.gid)


def _own(keys: Path, *, gid: int | None) -> None:
    for file in keys.iterdir():
        if gid is not None and os.geteuid() == 0:
            os.chown(file, 0, gid)
        file.chmod(0o640 if gid is not None else 0o600)


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    names = set(archive.getnames())
    member = archive.extractfile("manifest.json") if "manifest.json" in names else None
    if member is None or FILE not in names or "keys/master.keys" not in names:
        raise CannotBackUp("This is no backup of SkyPanel.")
    manifest: dict[str, Any] = orjson.loads(member.read())
    if manifest.get("format") != FORMAT:
        raise CannotBackUp(f"This backup has format {manifest.get('format')}; version {__version__} reads {FORMAT}.")
    return manifest


def _snapshot(settings: Settings, scratch: Path, *, dialect: str) -> str:
    if dialect == "postgresql":
        _postgres("pg_dump", settings, ["--format=custom", "--file", str(scratch / "dump.pgc"), _plain(settings)])
        return "dump.pgc"
    source = sqlite3.connect(settings.effective_database_url.removeprefix("sqlite:///"))
    copy = sqlite3.connect(scratch / "skypanel.db")
    try:
        source.backup(copy)
    finally:
        source.close()
        copy.close()
    return "skypanel.db"


def _plain(settings: Settings) -> str:
    """The URL as PostgreSQL's own programs take it, without the password (which would show in the process list)."""
    from sqlalchemy import make_url

    url = make_url(settings.effective_database_url).set(drivername="postgresql", password=None)
    return url.render_as_string(hide_password=False)


def _postgres(program: str, settings: Settings, arguments: list[str]) -> None:
    from sqlalchemy import make_url

    password = make_url(settings.effective_database_url).password
    environment = dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})
    try:
        run([program, *arguments], env=environment, timeout_s=3600)
    except CommandFailed as error:
        raise CannotBackUp(f"{program} failed: {error.output.strip()[-300:] or error}") from error
