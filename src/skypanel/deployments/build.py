"""Source to slug: the two stages that only a deploy has."""

from __future__ import annotations

import time

import sqlalchemy as sa

from skypanel.apps.env import read_all
from skypanel.apps.models import App, BuildpackName
from skypanel.apps.recheck import recheck
from skypanel.builds.models import Slug
from skypanel.builds.names import UnknownBuildpack, resolve
from skypanel.db import Session
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import Deployment
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.stages import change
from skypanel.drivers.builder.port import BuildCancelled, BuildFailed, BuildRequest, BuiltSlug
from skypanel.drivers.source.port import Commit, FetchFailed
from skypanel.jobs import Cancelled, JobContext
from skypanel.kit.ids import new_id
from skypanel.kit.secret import Secret


def _load(platform: Platform, deployment_id: str) -> tuple[Deployment, App]:
    with platform.database.reading() as session:
        deployment = session.get_one(Deployment, deployment_id)
        return deployment, session.get_one(App, deployment.app_id)


def fetch_commit(ctx: JobContext, platform: Platform, deployment_id: str, log: DeploymentLog) -> str:
    """Pins the commit; returns its id. Raises DeployFailed."""
    deployment, app = _load(platform, deployment_id)
    log(f"-----> Fetching {app.branch or 'the default branch'}")
    try:
        commit = platform.source.fetch(
            app.git_url,
            branch=app.branch,
            mirror=app.id,
            uid=app.uid,
            commit=deployment.commit,
            log=log,
            cancelled=ctx.cancelled,
        )
    except FetchFailed as error:
        ctx.check_cancelled()
        raise DeployFailed(error.code, str(error)) from error
    log(f"       {commit.sha[:12]} {commit.message}")

    def pin(_session: Session, row: Deployment, _app: App) -> None:
        row.commit, row.branch = commit.sha, commit.branch
        row.commit_message, row.commit_author = commit.message, commit.author[:250]

    change(platform, deployment_id, pin)
    return commit.sha


def build_slug(ctx: JobContext, platform: Platform, deployment_id: str, log: DeploymentLog) -> str:
    """Builds and records the slug; returns its id. Raises DeployFailed, Cancelled."""
    deployment, app = _load(platform, deployment_id)
    assert deployment.commit is not None
    with platform.database.reading() as session:
        variables = read_all(session, platform.vault, app.id)
        names = {row.name: row.git_url for row in session.scalars(sa.select(BuildpackName))}
    try:
        buildpacks = [resolve(names, entry) for entry in app.buildpacks]
    except UnknownBuildpack as error:
        raise DeployFailed(error.code, error.detail) from error
    request = BuildRequest(
        id=deployment.id,
        app_id=app.id,
        organization_id=app.organization_id,
        uid=app.uid,
        mirror=app.id,
        commit=Commit(
            deployment.commit, deployment.commit_message or "", deployment.commit_author or "", deployment.branch
        ),
        git_url=app.git_url,
        buildpacks=buildpacks,
        env={name: Secret(value) for name, value in variables.items()},
        limits=platform.rules.build_limits,
        cache=platform.rules.build_cache and app.build_cache,
    )
    built = _build(ctx, platform, request, log)
    slug_id = new_id()

    def keep(session: Session, row: Deployment, _app: App) -> None:
        now = platform.clock.now()
        session.add(
            Slug(
                id=slug_id,
                app_id=app.id,
                digest=built.digest,
                size_bytes=built.size_bytes,
                layers=list(built.layers),
                toolchains=list(built.toolchains),
                process_types=dict(built.process_types),
                config_vars=dict(built.config_vars),
                buildpack=built.buildpack,
                stack=built.stack,
                created_at=now,
            )
        )
        session.flush()
        recheck(session, app.id, since=now)
        row.slug_id = slug_id

    change(platform, deployment_id, keep)
    return slug_id


def _build(ctx: JobContext, platform: Platform, request: BuildRequest, log: DeploymentLog) -> BuiltSlug:
    _wait_for_slot(ctx, platform, log)
    try:
        return platform.builder.build(request, log=log, cancelled=ctx.cancelled)
    except BuildCancelled as error:
        ctx.check_cancelled()
        raise Cancelled from error
    except (BuildFailed, FetchFailed) as error:
        raise DeployFailed(error.code, str(error)) from error
    finally:
        platform.build_slots.release()


def _wait_for_slot(ctx: JobContext, platform: Platform, log: DeploymentLog) -> None:
    if platform.build_slots.acquire(blocking=False):
        return
    began = time.monotonic()
    log("       Waiting for a free build slot on this machine")
    while not platform.build_slots.acquire(timeout=0.2):
        ctx.check_cancelled()
    log(f"       Got one after {time.monotonic() - began:.0f} s")
