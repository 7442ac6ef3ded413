"""What a cluster's processes work with instead of what one machine has."""

from __future__ import annotations

import random
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from skypanel.db import Database
from skypanel.db.changes import Changes
from skypanel.drivers import probe
from skypanel.drivers.builder.images import PublishingBuilder, Registry, Sweep
from skypanel.drivers.builder.images.publishing import APPS, RunImage
from skypanel.drivers.builder.port import Builder
from skypanel.drivers.edge_access import EdgeAccess
from skypanel.drivers.engine.client import EngineClient
from skypanel.drivers.logstore.port import LogStore
from skypanel.drivers.probe import Answer
from skypanel.drivers.probe_edges import ThroughEdges
from skypanel.drivers.router import accesslog
from skypanel.drivers.router.traefik.command import launcher_command
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.runtime.port import Runtime
from skypanel.drivers.runtime.swarm import SwarmApi, SwarmRuntime
from skypanel.drivers.runtime.swarm.machines import SwarmMachines
from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK, network_name
from skypanel.drivers.runtime.swarm.service import Reserved
from skypanel.drivers.shell import Child
from skypanel.edge.access import AccessLog
from skypanel.edge.agent import Edge, Servers
from skypanel.edge.follow import Follower, Self
from skypanel.edge.networks import Networks
from skypanel.edge.probes import ProbeServer
from skypanel.instance import Instance
from skypanel.kit.secret import Secret
from skypanel.logs.ingress import IngressLogs, Node
from skypanel.routing.published import PublishedRouter, live_edges
from skypanel.settings import Settings
from skypanel.wiring.shared import CLOCK

PROBE_PORT = 8001
# What is tried with a dead engine fails. With the worker's last second it stays well below the five after which the
# other engines cut a machine without an engine off, and what it holds in the database would stay held.
ENGINE_GONE_S = 0.5


def node_name(settings: Settings) -> str:
    return settings.node_name or socket.gethostname()


def registry(settings: Settings) -> Registry:
    if settings.registry_insecure:
        return Registry(f"http://{settings.registry}")
    keys = settings.data_dir / "keys"
    password = (settings.registry_password_file or keys / "registry.key").read_text().strip()
    return Registry(
        f"https://{settings.registry}", user=settings.registry_user, password=Secret(password),
        ca=settings.registry_ca_file or keys / "registry-ca.crt",
    )  # fmt: skip


def swarm_api(settings: Settings, instance: Instance) -> SwarmApi:
    images = registry(settings)
    return SwarmApi(
        EngineClient(settings.docker_socket), instance.id,
        registry_auth=lambda: images.engine_auth(settings.registry),
    )  # fmt: skip


def end_of_engine(settings: Settings) -> Callable[[], None]:
    """What ends with the engine here: one that is not answered by it can neither start nor mend anything, and would
    stand in the way of another copy that can."""

    def wait() -> None:
        with EngineClient(settings.docker_socket) as engine:
            engine.await_end(ENGINE_GONE_S)

    return wait


def swarm_machines(settings: Settings) -> SwarmMachines:
    join = (sys.executable, "-m", "skypanel.manage.cluster.reach")
    return SwarmMachines(EngineClient(settings.docker_socket), join=join)


def swarm_runtime(
    settings: Settings, instance: Instance, *, collects: Callable[[], bool], enter: Callable[[str], bool]
) -> SwarmRuntime:
    return SwarmRuntime(
        api=swarm_api(settings, instance),
        spool=settings.data_dir / "spool",
        image=f"{settings.registry}/{settings.stack_image}",
        node=node_name(settings),
        reserved=Reserved(settings.swarm_reserve_cpu_percent, settings.swarm_reserve_memory_percent),
        collects=collects,
        enter=enter,
    )


def publishing(settings: Settings, builder: Builder, runtime: Runtime) -> PublishingBuilder:
    assert isinstance(runtime, SwarmRuntime)
    repository, _, tag = settings.stack_image.rpartition(":")
    return PublishingBuilder(
        builder, registry(settings), address=settings.registry, run_image=RunImage(repository, tag),
        work=settings.data_dir / "images", ahead=runtime.networks.expect,
    )  # fmt: skip


def image_sweep(settings: Settings) -> Sweep:
    return Sweep(registry(settings), settings.data_dir / "registry", ours=APPS)


class Ingress:
    """The ingress nodes, as the database knows them."""

    def __init__(self, database: Database, token: Secret) -> None:
        self._database = database
        self.probe = ThroughEdges(self._probes, token=token)

    def _probes(self) -> Sequence[tuple[str, int]]:
        with self._database.reading() as session:
            return [(edge.address, edge.probe_port) for edge in live_edges(session, CLOCK.now())]

    def ask(self, host: str, path: str, timeout_s: float) -> Answer:
        """A visitor's question, through the router of one of them."""
        with self._database.reading() as session:
            edges = [(edge.address, edge.http_port) for edge in live_edges(session, CLOCK.now())]
        if not edges:
            return Answer(error="no ingress node of the cluster is there")
        address, port = random.choice(edges)  # noqa: S311 - spreads, hides nothing
        return probe.ask_http(address, port, path, host=host, timeout_s=timeout_s)


def ingress_logs(database: Database, store: LogStore, token: Secret, *, leads: Callable[[], bool]) -> IngressLogs:
    def nodes() -> Sequence[Node]:
        with database.reading() as session:
            return [Node(edge.name, edge.address, edge.probe_port) for edge in live_edges(session, CLOCK.now())]

    return IngressLogs(
        store, EdgeAccess(token), nodes=nodes, parse=accesslog.parse, render=accesslog.render, leads=leads
    )


def published_router(database: Database, changes: Changes) -> PublishedRouter:
    return PublishedRouter(database, CLOCK, changes)


def network_of(instance: Instance) -> Callable[[str], str]:
    return lambda organization_id: network_name(instance.id, organization_id)


def edge(settings: Settings, *, directory: Path, container: str, uid: int) -> Edge:
    """This ingress node. `container`: whose network it lives in."""
    host, _, port = settings.control_plane.rpartition(":")
    servers = Servers(host, int(port))
    config = RouterConfig(
        directory=directory / "router", host="0.0.0.0", http_port=settings.http_port,  # noqa: S104 - a container's own
        https_port=settings.https_port, server_url=f"http://{settings.control_plane}",
        dashboard_host=settings.dashboard_host, servers_may_vanish=True, uid=uid, gid=uid,
    )  # fmt: skip
    token = Secret((directory / "edge.key").read_text().strip())
    networks = Networks(EngineClient(settings.docker_socket), container)
    access = AccessLog(config.directory, uid=uid, gid=uid)
    client = httpx.Client(trust_env=False)

    def start_follower() -> Follower:
        address = networks.address(PLATFORM_NETWORK)
        serve_probes(address, token, networks, access)
        me = Self(node_name(settings), address, PROBE_PORT, settings.http_port)
        router = TraefikRouter(directory=config.directory, host="127.0.0.1", http_port=settings.http_port, gid=uid)
        return Follower(
            me=me, token=token, router=router, networks=networks, state=directory / "followed.json",
            servers=servers, client=client,
        )  # fmt: skip

    found = shutil.which("traefik")
    command = launcher_command(config, binary=Path(found) if found else None)
    return Edge(config, servers, access, lambda: Child(command), start_follower)


def serve_probes(address: str, token: Secret, networks: Networks, access: AccessLog) -> None:
    server = ProbeServer(address, PROBE_PORT, token=token, networks=networks, access=access)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
