"""The one place that reads settings and names concrete drivers. Nothing below knows which ones were chosen."""

from __future__ import annotations

import fcntl
import fnmatch
import os
import socket
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO

from skypanel import __version__
from skypanel.accounts.policy import AuthPolicy
from skypanel.apps.vault import Vault
from skypanel.db import Database
from skypanel.deployments.monitor import Monitor
from skypanel.deployments.platform import Platform, Rules
from skypanel.drivers import probe
from skypanel.drivers.builder.port import BuildLimits
from skypanel.drivers.builder.sandbox import SandboxBuilder
from skypanel.drivers.builder.sandbox.toolchains import MachineToolchains
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.router import accesslog
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.router.traefik.files import IDLE_CONNECTION_S
from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.runtime.process import ProcessRuntime
from skypanel.drivers.source.git import GitSource
from skypanel.drivers.source.port import Credentials
from skypanel.http.context import Services
from skypanel.instance import Instance, read_instance
from skypanel.jobs import Engine, SocketWaker, install
from skypanel.kit.clock import SystemClock
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret
from skypanel.logs.build_log import BuildLog
from skypanel.logs.collector import Collector
from skypanel.settings import Settings
from skypanel.worker.handlers import QUEUES, handlers
from skypanel.worker.schedules import SCHEDULES
from skypanel.worker.targets import LogTargets
from skypanel.worker.upkeep import Upkeep
from skypanel.worker.work import Worker

CLOCK = SystemClock()
MB = 1_000_000


def instance_of(settings: Settings) -> Instance:
    """Raises SystemExit with one line when the platform was never started there."""
    instance = read_instance(settings.data_dir)
    if instance is None:
        raise SystemExit(f"There is no platform in {settings.data_dir}; `skypanel up` makes one.")
    return instance


def open_database(settings: Settings, instance: Instance) -> Database:
    database = Database(settings.effective_database_url)
    if database.dialect == "sqlite":
        install(database, SocketWaker(settings.data_dir / "run" / "wake.sock", uid=instance.uid, gid=instance.gid))
    return database


def vault_of(settings: Settings) -> Vault:
    return Vault((settings.data_dir / "keys" / "master.keys").read_text().split())


def log_store(settings: Settings, instance: Instance) -> EmbeddedLogStore:
    return EmbeddedLogStore(settings.data_dir / "logs", gid=instance.gid)


def git_source(settings: Settings) -> GitSource:
    return GitSource(
        mirrors_dir=settings.data_dir / "mirrors",
        allowed_private_hosts=settings.git_allowed_private_hosts,
        passthrough=passed_through(settings, os.environ),
    )


def git_credentials(settings: Settings) -> Credentials | None:
    """What opens private repositories of this platform: one token and one key for all of them, from the settings."""
    key = Secret(settings.git_ssh_key_file.read_text()) if settings.git_ssh_key_file else None
    if settings.token is None and key is None:
        return None
    return Credentials(username="x-access-token" if settings.token else None, token=settings.token, ssh_key=key)


def passed_through(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the platform's own environment that builds see: package registries behind a mirror or private CA."""
    patterns = settings.build_env_passthrough
    return {n: v for n, v in environment.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)}


def runtime_kind(settings: Settings) -> str:
    if settings.runtime != "auto":
        return settings.runtime
    return "oci" if sys.platform == "linux" and os.geteuid() == 0 else "process"


def container_runtime(settings: Settings, instance: Instance) -> Runtime:
    node = socket.gethostname()
    if runtime_kind(settings) == "process":
        return ProcessRuntime(data_dir=settings.data_dir, node=node)
    bundle = os.environ.get("SSL_CERT_FILE")
    return OciRuntime(
        data_dir=settings.data_dir,
        instance=instance.id,
        subnet=IPv4Network(instance.network),
        node=node,
        allowed_private=[IPv4Network(text) for text in settings.egress_allowed_private],
        ca_bundle=Path(bundle) if bundle else None,
    )


def stop_all_containers(settings: Settings) -> None:
    """Every replica of this platform, for `down --apps`: each gets its grace period, then all is removed."""
    instance = instance_of(settings)
    runtime = container_runtime(settings, instance)
    for container in runtime.list():
        runtime.stop(container.id, grace_s=settings.stop_grace_s)
        runtime.remove(container.id)
    if isinstance(runtime, OciRuntime):
        runtime.destroy()


def connect_host(settings: Settings) -> str:
    """Where the router is asked from this machine."""
    return "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  no binding here


def rules(settings: Settings) -> Rules:
    return Rules(
        health_deadline_s=settings.health_deadline_s,
        drain_timeout_s=settings.drain_timeout_s,
        idle_connection_s=IDLE_CONNECTION_S + 0.2,
        stop_grace_s=settings.stop_grace_s,
        release_command_timeout_s=settings.release_command_timeout_s,
        run_timeout_s=settings.run_timeout_s,
        keep_releases=settings.keep_releases,
        build_cache=settings.buildpack_cache_enabled,
        build_limits=BuildLimits(
            time_s=settings.build_time_limit_s,
            memory_mb=settings.build_memory_mb,
            disk_mb=settings.build_disk_mb,
            output_bytes=settings.build_log_limit_kb * 1024,
            slug_mb=settings.slug_limit_mb,
        ),
    )


def platform(settings: Settings, instance: Instance, database: Database) -> Platform:
    runtime = container_runtime(settings, instance)
    source = git_source(settings)
    logs = log_store(settings, instance)
    credentials = git_credentials(settings)
    host = connect_host(settings)
    return Platform(
        database=database,
        clock=CLOCK,
        runtime=runtime,
        router=TraefikRouter(
            directory=settings.data_dir / "router", host=host, http_port=settings.http_port, gid=instance.gid
        ),
        builder=SandboxBuilder(
            data_dir=settings.data_dir,
            source=source,
            containers=runtime,
            toolchains=MachineToolchains(settings.data_dir / "toolchains"),
            passthrough=passed_through(settings, os.environ),
        ),
        source=source,
        logs=logs,
        vault=vault_of(settings),
        open_log=lambda *, app_id, deployment_id, secrets: BuildLog(
            logs, app_id=app_id, deployment_id=deployment_id, clock=CLOCK, secrets=secrets
        ),
        app_host=lambda subdomain: f"{subdomain}.{settings.default_domain}",
        ask_through_router=lambda name, path, timeout_s: probe.ask_http(
            host, settings.http_port, path, host=name, timeout_s=timeout_s
        ),
        credentials=lambda _url: credentials,
        rules=rules(settings),
        build_slots=BoundedSemaphore(settings.build_concurrency),
    )


def hold(path: Path) -> IO[str]:
    """An exclusive lock for the life of the process: only one worker of this name and data directory may live."""
    handle = path.open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def worker(settings: Settings) -> Worker:
    instance = instance_of(settings)
    database = open_database(settings, instance)
    site = platform(settings, instance, database)
    monitor = Monitor(site)
    upkeep = Upkeep(
        database=database,
        clock=CLOCK,
        logs=site.logs,
        log_retention_days=settings.log_retention_days,
        log_max_bytes_per_app=settings.log_max_mb_per_app * MB,
        log_max_bytes=settings.log_max_mb * MB,
    )
    engine = Engine(
        database,
        worker=f"{socket.gethostname()}:{instance.id}",
        incarnation=new_id(),
        queues=QUEUES,
        handlers=handlers(site, upkeep, after=monitor.changed.set),
        schedules=SCHEDULES,
        lease_s=settings.job_lease_s,
    )
    targets = LogTargets(site.runtime)
    router_dir = settings.data_dir / "router"
    collector = Collector(
        store=site.logs,
        spool=settings.data_dir / "spool",
        describe=targets.describe,
        gone=targets.gone,
        access_log=router_dir / "access.log",
        parse_access=accesslog.parse,
        render_access=accesslog.render,
        rotate_access=lambda: accesslog.rotate(router_dir),
    )
    return Worker(site, engine, monitor, collector, settings.reconcile_interval_s)


def server_services() -> Services:
    settings = Settings()
    instance = instance_of(settings)
    port = f":{settings.http_port}" if settings.public_scheme == "http" else f":{settings.https_port}"
    if (settings.public_scheme, port) in (("http", ":80"), ("https", ":443")):
        port = ""
    return Services(
        database=open_database(settings, instance),
        clock=CLOCK,
        vault=vault_of(settings),
        auth=AuthPolicy(
            jwt_key=Secret((settings.data_dir / "keys" / "jwt.key").read_text().strip()),
            session_hours=settings.session_hours,
            login_failures_per_quarter=settings.login_failures_per_quarter,
            registration=settings.registration,
        ),
        logs=log_store(settings, instance),
        check_git_url=git_source(settings).check_url,
        app_url=lambda subdomain: f"{settings.public_scheme}://{subdomain}.{settings.default_domain}{port}",
        max_apps_per_org=settings.max_apps_per_org,
        max_deployments_per_hour=settings.max_deployments_per_hour,
        currency=settings.currency,
        readiness=lambda: readiness(settings),
        public_url=f"{settings.public_scheme}://{settings.dashboard_host}{port}",
        git_dir=settings.data_dir / "git",
        version=__version__,
    )


def readiness(settings: Settings) -> Mapping[str, str]:
    """Part -> "ok" or what is wrong."""
    router = probe.ask_http(
        connect_host(settings), settings.http_port, "/healthz", host=settings.dashboard_host, timeout_s=2
    )
    return {
        "worker": "ok" if _held(settings.data_dir / "run" / "worker.lock") else "the worker does not run",
        "router": "ok" if router.status == 200 else f"no answer through the router: {router.error or router.status}",
    }


def _held(path: Path) -> bool:
    """Whether a worker lives: it holds this lock as long as it does."""
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
