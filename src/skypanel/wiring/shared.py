"""What server and worker both need."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping
from pathlib import Path

from skypanel.apps.vault import Vault
from skypanel.db import Database
from skypanel.db.changes import CHANNEL, Changes
from skypanel.db.wakers import PostgresWaker, SocketWaker
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.payments.port import Payments
from skypanel.drivers.source.git import GitSource
from skypanel.drivers.source.port import Credentials
from skypanel.instance import Instance, read_instance
from skypanel.jobs import install
from skypanel.kit.clock import SystemClock
from skypanel.kit.secret import Secret
from skypanel.settings import Settings

CLOCK = SystemClock()
LARGEST_REPOSITORY = 2_000_000_000
LARGEST_SEGMENT = 4 * 1024 * 1024


def instance_of(settings: Settings) -> Instance:
    """Raises SystemExit with one line when the platform was never started there."""
    instance = read_instance(settings.data_dir)
    if instance is None:
        raise SystemExit(f"There is no platform in {settings.data_dir}; `skypanel up` makes one.")
    return instance


def open_database(settings: Settings, instance: Instance) -> Database:
    """Raises SystemExit when the SQLite file has become a link: its directory is the server's, the worker root."""
    if os.geteuid() == 0 and settings.effective_database_url.startswith("sqlite:///"):
        file = Path(settings.effective_database_url.removeprefix("sqlite:///"))
        if file.is_symlink() and instance.uid is not None:
            raise SystemExit(f"{file} is a link, which root does not follow: set SKYPANEL_DATABASE_URL to its target.")
    database = Database(settings.effective_database_url)
    if database.dialect == "sqlite":
        install(database, _socket(settings, instance, "wake.sock"))
    changes_of(database, settings, instance).announce_for(database)
    return database


def changes_of(database: Database, settings: Settings, instance: Instance) -> Changes:
    """On SQLite the server listens on a socket; on PostgreSQL every copy of it on a channel."""
    if database.dialect == "sqlite":
        return Changes(_socket(settings, instance, "changes.sock"))
    return Changes(PostgresWaker(database.engine.url, channel=CHANNEL))


def _socket(settings: Settings, instance: Instance, name: str) -> SocketWaker:
    return SocketWaker(settings.data_dir / "run" / name, uid=instance.uid, gid=instance.gid)


def vault_of(settings: Settings) -> Vault:
    return Vault((settings.data_dir / "keys" / "master.keys").read_text().split())


def edge_token(settings: Settings) -> Secret:
    """With which a cluster's ingress nodes and its control plane know each other."""
    return Secret((settings.data_dir / "keys" / "edge.key").read_text().strip())


def log_store(settings: Settings, instance: Instance) -> EmbeddedLogStore:
    # Whole segments go: with eight of them, an application keeps most of what it may.
    segment = min(LARGEST_SEGMENT, settings.log_max_mb_per_app * 1_000_000 // 8)
    return EmbeddedLogStore(settings.data_dir / "logs", gid=instance.gid, segment_bytes=segment)


def payments_of(settings: Settings) -> Payments | None:
    """None where no keys are set."""
    if settings.stripe_key is None:
        return None
    from skypanel.drivers.payments.stripe import StripePayments  # loads an HTTP client

    return StripePayments(settings.stripe_key, settings.stripe_webhook, api=settings.stripe_api.rstrip("/"))


def git_source(settings: Settings, *, credentials: Mapping[str, Credentials] | None = None) -> GitSource:
    """Only the worker fetches, and only it has `credentials` (by host)."""
    return GitSource(
        mirrors_dir=settings.data_dir / "mirrors",
        allowed_private_hosts=settings.git_allowed_private_hosts,
        credentials=credentials,
        passthrough=passed_through(settings, os.environ),
        max_bytes=min(LARGEST_REPOSITORY, settings.build_disk_mb * 1_000_000),  # a larger one could not be built
    )


def passed_through(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the platform's own environment that builds see: package registries behind a mirror or private CA."""
    patterns = settings.build_env_passthrough
    return {n: v for n, v in environment.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)}


def connect_host(settings: Settings) -> str:
    """Where the router is asked from this machine."""
    return "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  no binding here
