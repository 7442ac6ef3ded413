"""What the concrete drivers want to be told at a start: the router's files, the containers' network, the first rows."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import BuildpackName
from skypanel.db import Session
from skypanel.drivers.router.traefik import setup as router_setup
from skypanel.drivers.router.traefik.platform import RouterConfig
from skypanel.instance import Instance
from skypanel.kit.clock import SystemClock
from skypanel.orgs.plans import seed_plans
from skypanel.settings import Settings

BUILDPACKS = {
    **{f"heroku/{name}": f"https://github.com/heroku/heroku-buildpack-{name}" for name in (
        "python", "nodejs", "ruby", "go", "java", "php", "gradle", "scala", "clojure")},
    "heroku/procfile": "https://github.com/heroku/heroku-buildpack-procfile",
    "heroku/static": "https://github.com/heroku/heroku-buildpack-static",
}  # fmt: skip


def choose_network(settings: Settings) -> str:
    return ""


def prepare_router(settings: Settings, instance: Instance) -> None:
    config = RouterConfig(
        directory=settings.data_dir / "router",
        host=settings.host,
        http_port=settings.http_port,
        https_port=settings.https_port,
        server_url=f"http://127.0.0.1:{instance.server_port}",
        dashboard_host=settings.dashboard_host,
        uid=instance.uid,
        gid=instance.gid,
    )
    router_setup.prepare(config, now=SystemClock().now())


def router_command(settings: Settings, instance: Instance) -> list[str]:
    return ["-m", "skypanel.drivers.router.traefik.launch", str(settings.data_dir / "router")]


def seed(session: Session, *, now: datetime) -> None:
    """The default plans and buildpack names that are missing: an admin's changes stay."""
    seed_plans(session, now=now)
    known = set(session.scalars(sa.select(BuildpackName.name)))
    for name, git_url in BUILDPACKS.items():
        if name not in known:
            session.add(BuildpackName(name=name, git_url=git_url))
