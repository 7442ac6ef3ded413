"""What the concrete drivers want to be told at a start: the router's files, the containers' network, the first rows."""

from __future__ import annotations

import fcntl
import logging
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from skypanel.apps.models import BuildpackName
from skypanel.builds.names import DEFAULT_NAMES
from skypanel.db import Session
from skypanel.drivers.router.traefik import setup as router_setup
from skypanel.drivers.router.traefik.command import launcher_command
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.instance import Instance
from skypanel.kit.clock import SystemClock
from skypanel.manage.confine import possible
from skypanel.orgs.plans import seed_plans
from skypanel.settings import Settings

log = logging.getLogger(__name__)
NETWORK_LOCK: Final = Path("/run/skypanel-network.lock")


def chosen_runtime(settings: Settings) -> str:
    """`auto` made definite: real containers with Linux, root and the programs they need, else plain processes.
    Root that may not mount (inside of another container) is as good as none."""
    if settings.runtime != "auto":
        return settings.runtime
    able = sys.platform == "linux" and all(shutil.which(name) for name in ("runc", "conmon", "nft"))
    return "oci" if able and possible() else "process"


def claim_network(settings: Settings, instance: Instance) -> Instance:
    """A part of the pool that nothing on this machine uses, with its bridge made at once and under a lock of the whole
    machine: two platforms that start at the same moment take different ones. After a reboot another platform may have
    taken ours: then no container of ours runs yet, and another part does as well."""
    if chosen_runtime(settings) != "oci":
        return instance
    from skypanel.drivers.runtime.oci.network import Network, taken_networks
    from skypanel.drivers.runtime.oci.subnet import choose_network
    from skypanel.drivers.runtime.port import RuntimeFailed

    with NETWORK_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if instance.network:
            try:
                Network(instance=instance.id, subnet=IPv4Network(instance.network)).prepare()
            except RuntimeFailed:
                log.warning("the container network %s is used by something else now", instance.network)
            else:
                return instance
        subnet = choose_network(IPv4Network(settings.network_pool), taken_networks())
        Network(instance=instance.id, subnet=subnet).prepare()
    return replace(instance, network=str(subnet))


def router_config(settings: Settings, instance: Instance) -> RouterConfig:
    return RouterConfig(
        directory=settings.data_dir / "router",
        host=settings.host,
        http_port=settings.http_port,
        https_port=settings.https_port,
        server_url=f"http://127.0.0.1:{instance.server_port}",
        dashboard_host=settings.dashboard_host,
        uid=instance.uid,
        gid=instance.gid,
    )


def prepare_router(settings: Settings, instance: Instance) -> None:
    router_setup.prepare(router_config(settings, instance), now=SystemClock().now())


def router_command(settings: Settings, instance: Instance) -> list[str]:
    return launcher_command(router_config(settings, instance))


def seed(session: Session, *, now: datetime) -> None:
    """The default plans and buildpack names that are missing: an admin's changes stay."""
    seed_plans(session, now=now)
    known = set(session.scalars(sa.select(BuildpackName.name)))
    for name, git_url in DEFAULT_NAMES.items():
        if name not in known:
            session.add(BuildpackName(name=name, git_url=git_url))
