"""Everything a start needs before the first process runs: data directory, instance, keys, database, plans."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import stat
from dataclasses import replace
from pathlib import Path

from skypanel.db import Database
from skypanel.instance import FILE, Instance, instance_bytes, read_instance
from skypanel.kit.clock import SystemClock
from skypanel.manage.choices import claim_network, prepare_router, seed
from skypanel.manage.confine import possible
from skypanel.manage.keys import ensure_keys
from skypanel.manage.layout import ensure_layout
from skypanel.manage.migrate import NewerDatabase, upgrade
from skypanel.manage.preflight import CannotStart, free_port, port_is_free
from skypanel.settings import Settings

# Debian keeps 60000-64999 for fixed use on demand; nobody is given one of these by adduser.
FIRST_USER, USERS = 64_010, 900


def prepare(settings: Settings) -> Instance:
    """Idempotent: makes what is missing, mends what it can, brings the database to the newest revision."""
    instance = read_instance(settings.data_dir) or new_instance()
    instance = claim_network(settings, with_free_port(instance))
    ensure_layout(settings.data_dir, uid=instance.uid, gid=instance.gid)
    write_instance(settings.data_dir, instance)
    ensure_keys(settings.data_dir / "keys", gid=instance.gid)
    prepare_router(settings, instance)
    prepare_database(settings, instance)
    return instance


def new_instance() -> Instance:
    identifier = secrets.token_hex(4)
    user = unused_user(identifier) if possible() else None
    return Instance(id=identifier, uid=user, gid=user, network="", server_port=free_port())


def unused_user(identifier: str) -> int:
    """A user and group id that is nobody's; platforms of one machine get different ones (most likely)."""
    start = int(identifier, 16) % USERS
    for offset in range(USERS):
        candidate = FIRST_USER + (start + offset) % USERS
        try:
            pwd.getpwuid(candidate)
        except KeyError:
            try:
                grp.getgrgid(candidate)
            except KeyError:
                return candidate
    raise RuntimeError(f"every user id from {FIRST_USER} to {FIRST_USER + USERS - 1} is taken")


def with_free_port(instance: Instance) -> Instance:
    """The inner port stays what it was, unless another program took it in the meantime."""
    if port_is_free("127.0.0.1", instance.server_port):
        return instance
    return replace(instance, server_port=free_port())


def prepare_database(settings: Settings, instance: Instance) -> None:
    if settings.effective_database_url.startswith("sqlite:///"):
        _own_file(Path(settings.effective_database_url.removeprefix("sqlite:///")), instance)
    database = Database(settings.effective_database_url)
    try:
        upgrade(database)
        with database.transaction() as session:
            seed(session, now=SystemClock().now())
    except NewerDatabase as error:
        raise CannotStart(str(error)) from error
    finally:
        database.close()


def _own_file(path: Path, instance: Instance) -> None:
    """SQLite makes its journal and shared memory with the owner of the database file, also when root opens it: so the
    file is the unprivileged user's from the beginning."""
    for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        made = os.O_CREAT if file == path else 0
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | made, 0o600)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CannotStart(f"{file} cannot be opened ({error.strerror}): it must be a file and no link.") from error
        try:
            # The directory is that user's: a second name of another's file must not become his.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise CannotStart(f"{file} is no file of its own: replace it by a copy.")
            os.fchmod(descriptor, 0o600)
            if instance.uid is not None and instance.gid is not None:
                os.fchown(descriptor, instance.uid, instance.gid)
        finally:
            os.close(descriptor)


def write_instance(data_dir: Path, instance: Instance) -> None:
    content = instance_bytes(instance)
    path = data_dir / FILE
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(FILE + ".new")
    temporary.write_bytes(content)
    temporary.chmod(0o644)
    temporary.rename(path)
