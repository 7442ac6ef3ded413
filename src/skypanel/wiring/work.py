"""The worker process: every driver it works with."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO, TYPE_CHECKING, Any

from skypanel.billing.cashier import Cashier
from skypanel.db import Database
from skypanel.deployments.monitor import Monitor
from skypanel.deployments.platform import Platform, Rules
from skypanel.drivers import probe
from skypanel.drivers.builder.port import Builder, BuildLimits
from skypanel.drivers.builder.sandbox import CacheSettings, SandboxBuilder
from skypanel.drivers.builder.sandbox.toolchains import MachineToolchains
from skypanel.drivers.machines import Machines, OneMachine
from skypanel.drivers.mail.port import Mail, NoMail
from skypanel.drivers.mail.smtp import SmtpMail
from skypanel.drivers.probe import Answer, Probe
from skypanel.drivers.router import accesslog
from skypanel.drivers.router.port import Router
from skypanel.drivers.router.traefik.command import rotate
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.router.traefik.files import IDLE_CONNECTION_S
from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.runtime.process import ProcessRuntime
from skypanel.drivers.source.git import GitSource
from skypanel.drivers.source.port import Credentials
from skypanel.instance import Instance
from skypanel.jobs import Engine
from skypanel.jobs.leader import Leadership
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret
from skypanel.logs.build_log import BuildLog
from skypanel.logs.collector import Collector
from skypanel.logs.volume import CountingStore, Volumes
from skypanel.nodes.watch import NodeWatch
from skypanel.settings import Settings
from skypanel.wiring.shared import (
    CLOCK,
    changes_of,
    connect_host,
    edge_token,
    git_source,
    instance_of,
    log_store,
    open_database,
    passed_through,
    payments_of,
    vault_of,
)
from skypanel.worker.bookkeeping import Bookkeeper
from skypanel.worker.handlers import QUEUES, handlers
from skypanel.worker.schedules import SCHEDULES
from skypanel.worker.targets import LogTargets
from skypanel.worker.upkeep import Upkeep
from skypanel.worker.work import Worker

if TYPE_CHECKING:
    from skypanel.drivers.builder.images import Sweep

MB = 1_000_000
STOPPED_AT_ONCE = 64


def git_credentials(settings: Settings) -> dict[str, Credentials]:
    """What opens private repositories: one token and one key, for the hosts the operator named and no others, since
    tenants choose the URLs."""
    key = Secret(settings.git_ssh_key_file.read_text()) if settings.git_ssh_key_file else None
    if settings.token is None and key is None:
        return {}
    opens = Credentials(username="x-access-token" if settings.token else None, token=settings.token, ssh_key=key)
    return dict.fromkeys(settings.git_credential_hosts, opens)


def runtime_kind(settings: Settings) -> str:
    if settings.runtime != "auto":
        return settings.runtime
    return "oci" if sys.platform == "linux" and os.geteuid() == 0 else "process"


def container_runtime(
    settings: Settings,
    instance: Instance,
    *,
    collects: Callable[[], bool] = lambda: True,
    enter: Callable[[str], bool] = lambda _network: False,
) -> Runtime:
    node = socket.gethostname()
    if runtime_kind(settings) == "swarm":
        from skypanel.wiring import cluster

        return cluster.swarm_runtime(settings, instance, collects=collects, enter=enter)
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
        host_ports=reachable_ports(settings),
    )


def reachable_ports(settings: Settings) -> tuple[int, ...]:
    """Ports of this machine that containers may use: the router's, where the router listens to more than this machine
    anyway. Apps reach each other by their public names then."""
    if settings.host == "localhost" or (settings.host and _is_loopback(settings.host)):
        return ()
    return (settings.http_port, settings.https_port)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def stop_all_containers(settings: Settings) -> None:
    """Every replica of this platform, for `down --apps`: all get their grace period at once, then all is removed."""
    instance = instance_of(settings)
    runtime = container_runtime(settings, instance)
    stop_all(runtime, grace_s=settings.stop_grace_s)
    if isinstance(runtime, OciRuntime):
        runtime.destroy()


def stop_all(runtime: Runtime, *, grace_s: float) -> None:
    """Waits for the slowest container, not for one after the other. Raises RuntimeFailed."""
    containers = [container.id for container in runtime.list()]
    with ThreadPoolExecutor(max_workers=max(1, min(len(containers), STOPPED_AT_ONCE))) as pool:
        list(pool.map(lambda container_id: runtime.stop(container_id, grace_s=grace_s), containers))
    for container_id in containers:
        runtime.remove(container_id)


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


def cache_settings(settings: Settings) -> CacheSettings:
    return CacheSettings(
        enabled=settings.buildpack_cache_enabled,
        ttl_s=settings.buildpack_cache_ttl_hours * 3600,
        max_bytes=settings.buildpack_cache_max_size_mb * MB,
    )


def sandbox_builder(settings: Settings, source: GitSource, runtime: Runtime) -> SandboxBuilder:
    return SandboxBuilder(
        data_dir=settings.data_dir,
        source=source,
        containers=runtime,
        toolchains=MachineToolchains(settings.data_dir / "toolchains"),
        passthrough=passed_through(settings, os.environ),
        cache=cache_settings(settings),
    )


@dataclass(frozen=True)
class Ways:
    """How requests get to replicas, and questions of ours."""

    router: Router
    probe: Probe
    ask_through_router: Callable[[str, str, float], Answer]
    network_of: Callable[[str], str]


def ways(settings: Settings, instance: Instance, database: Database) -> Ways:
    if runtime_kind(settings) == "swarm":
        from skypanel.wiring import cluster  # loads HTTP clients, which one machine does without

        ingress = cluster.Ingress(database, edge_token(settings))
        router = cluster.published_router(database, changes_of(database, settings, instance))
        return Ways(router, ingress.probe, ingress.ask, cluster.network_of(instance))
    host = connect_host(settings)

    def ask(name: str, path: str, timeout_s: float) -> Answer:
        return probe.ask_http(host, settings.http_port, path, host=name, timeout_s=timeout_s)

    traefik = TraefikRouter(
        directory=settings.data_dir / "router", host=host, http_port=settings.http_port, gid=instance.gid
    )
    return Ways(traefik, probe.FromHere(), ask, lambda _: "")


def platform(
    settings: Settings, instance: Instance, database: Database, *, runtime: Runtime, source: GitSource, builder: Builder
) -> Platform:
    logs = log_store(settings, instance)
    found = ways(settings, instance, database)
    return Platform(
        database=database,
        clock=CLOCK,
        runtime=runtime,
        router=found.router,
        builder=builder,
        source=source,
        logs=logs,
        vault=vault_of(settings),
        open_log=lambda *, app_id, deployment_id, secrets: BuildLog(
            logs,
            app_id=app_id,
            deployment_id=deployment_id,
            clock=CLOCK,
            secrets=secrets,
            limit_bytes=settings.build_log_limit_kb * 1024,
        ),
        app_host=lambda subdomain: f"{subdomain}.{settings.default_domain}",
        probe=found.probe,
        ask_through_router=found.ask_through_router,
        network_of=found.network_of,
        rules=rules(settings),
        build_slots=BoundedSemaphore(settings.build_concurrency),
    )


def _rotate(router_dir: Path, instance: Instance) -> None:
    rotate(router_dir, uid=instance.uid, gid=instance.gid)


def hold(path: Path) -> IO[str]:
    """An exclusive lock for the life of the process: only one worker of this name and data directory may live.
    The directory is the server's: a link that it put there must not make root open, let alone empty, another file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.fdopen(os.open(path, flags, 0o644), "r+")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def mail_of(settings: Settings) -> Mail:
    return NoMail() if settings.mail is None else SmtpMail(settings.mail, settings.mail_from)


def bookkeeper(settings: Settings, database: Database, volumes: Volumes) -> Bookkeeper:
    payments = payments_of(settings)
    cashier = None if payments is None else Cashier(database, CLOCK, payments)
    return Bookkeeper(database, CLOCK, settings.currency, volumes, mail_of(settings), cashier)


def _worker_runtime(
    settings: Settings, instance: Instance, database: Database, leadership: Leadership | None
) -> Runtime:
    if leadership is None:
        return container_runtime(settings, instance)
    from skypanel.wiring import cluster

    enter = cluster.Ingress(database, edge_token(settings)).probe.enter
    return container_runtime(settings, instance, collects=leadership.held, enter=enter)


def worker(settings: Settings) -> Worker:
    instance = instance_of(settings)
    database = open_database(settings, instance)
    clustered = runtime_kind(settings) == "swarm"
    incarnation = new_id()
    leadership = Leadership(database, name="worker", holder=incarnation) if clustered else None
    runtime = _worker_runtime(settings, instance, database, leadership)
    source = git_source(settings, credentials=git_credentials(settings))
    sandbox = sandbox_builder(settings, source, runtime)
    builder: Builder = sandbox
    machines: Machines = OneMachine()
    lifeline: Callable[[], None] | None = None
    images: Sweep | None = None
    if clustered:
        from skypanel.wiring import cluster

        builder = cluster.publishing(settings, sandbox, runtime)
        machines = cluster.swarm_machines(settings)
        lifeline = cluster.end_of_engine(settings)
        images = cluster.image_sweep(settings)
    site = platform(settings, instance, database, runtime=runtime, source=source, builder=builder)
    monitor, volumes = Monitor(site), Volumes(CLOCK)
    books = bookkeeper(settings, database, volumes)
    upkeep = Upkeep(
        database=database,
        clock=CLOCK,
        logs=site.logs,
        log_retention_days=settings.log_retention_days,
        log_max_bytes_per_app=settings.log_max_mb_per_app * MB,
        log_max_bytes=settings.log_max_mb * MB,
        retain_caches=sandbox.retain_caches,
        images=images,
    )
    engine = Engine(
        database,
        worker=f"{settings.node_name or socket.gethostname()}:{instance.id}",
        incarnation=incarnation,
        queues=QUEUES,
        handlers=handlers(site, upkeep, machines, books, after=monitor.look_again),
        schedules=SCHEDULES,
        lease_s=settings.job_lease_s,
    )
    counted: Any = CountingStore(site.logs, volumes)
    targets = LogTargets(site.runtime)
    router_dir = settings.data_dir / "router"
    collector = Collector(
        store=counted,
        spool=settings.data_dir / "spool",
        describe=targets.describe,
        gone=targets.gone,
        access_log=None if clustered else router_dir / "access.log",
        parse_access=accesslog.parse,
        render_access=accesslog.render,
        rotate_access=lambda: _rotate(router_dir, instance),
    )
    watch = NodeWatch(database, CLOCK, machines)
    ingress = None
    if leadership is not None:
        ingress = cluster.ingress_logs(database, counted, edge_token(settings), leads=leadership.held)
    return Worker(site, engine, monitor, collector, settings.reconcile_interval_s, watch, leadership, lifeline, ingress)
