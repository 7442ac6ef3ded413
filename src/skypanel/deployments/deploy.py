"""One deploy on one screen.

    fetch    the commit is pinned in the app's mirror
    build    sandboxed buildpacks make a slug                          undo: the builder leaves nothing behind
    release  the `release:` command, once, with new code and variables
    start    new replicas of every process type beside the old ones    undo: remove them
    check    each is healthy, asked directly
    switch   the route points to the new ones only, asked through it   undo: back to the old ones
    finish   running; the older version superseded
    drain    the old replicas finish their open requests and stop (a job of its own)

A rollback has its slug already and skips fetch, build and release; an environment change likewise. Every step is
recorded by the job engine: a worker that dies is followed by one that goes on at the first unrecorded step.
"""

from __future__ import annotations

from collections.abc import Callable

from skypanel.apps.env import read_all, read_snapshot
from skypanel.deployments.build import build_slug, fetch_commit
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.fail import CANCELLED, fail, was_failing
from skypanel.deployments.finish import finish
from skypanel.deployments.models import Deployment, Kind
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.release import Release, prepare_release, run_release_command
from skypanel.deployments.rollout import check, choose_replicas, start, switch
from skypanel.deployments.stages import staged
from skypanel.deployments.tend import tended
from skypanel.jobs import Cancelled, JobContext, Killed


def deploy(ctx: JobContext, platform: Platform, *, deployment_id: str) -> None:
    with platform.database.reading() as session:
        deployment = session.get_one(Deployment, deployment_id)
    if deployment.finished_at is not None:
        return
    log = _open_log(platform, deployment)
    try:
        if (earlier := was_failing(deployment)) is not None:
            raise earlier
        _recipe(ctx, platform, deployment, log)
    except (DeployFailed, Cancelled) as reason:
        verdict = fail(platform, deployment, CANCELLED if isinstance(reason, Cancelled) else reason, log)
        if verdict.code == CANCELLED.code:  # the job ends as its deployment does
            raise Cancelled(ctx.job_id) from reason
    finally:
        log.close()


def deploy_given_up(ctx: JobContext, platform: Platform, error: Exception) -> None:
    """The job engine will not try again: something unforeseen, or workers that died each time. Ends it truthfully."""
    with platform.database.reading() as session:
        deployment = session.get_one(Deployment, ctx.args["deployment_id"])
    if deployment.finished_at is not None:
        return
    # Only our own words are written here: values that cannot be decrypted must not keep this deployment open.
    log = platform.open_log(app_id=deployment.app_id, deployment_id=deployment.id, secrets=())
    if isinstance(error, Killed):
        why = DeployFailed(
            "interrupted", "The platform was interrupted again and again during this deployment; try again."
        )
    else:
        why = DeployFailed(
            "internal", f"Something went wrong on the platform's side ({type(error).__name__}); try again."
        )
    try:
        fail(platform, deployment, why, log)
    finally:
        log.close()


def _open_log(platform: Platform, deployment: Deployment) -> DeploymentLog:
    """Knows every value that the build, the release command or a dying replica could print into it: today's variables
    and those of the release that a rollback brings back."""
    with platform.database.reading() as session:
        values = set(read_all(session, platform.vault, deployment.app_id).values())
        if deployment.env_snapshot_id is not None:
            values.update(read_snapshot(session, platform.vault, deployment.env_snapshot_id).values())
    return platform.open_log(app_id=deployment.app_id, deployment_id=deployment.id, secrets=sorted(values))


def _recipe(ctx: JobContext, platform: Platform, deployment: Deployment, log: DeploymentLog) -> None:
    def step(name: str, do: Callable[[], object]) -> None:
        ctx.step(name, lambda: staged(platform, deployment.id, name, do))

    with tended(platform, deployment.app_id):  # what runs is looked after while a long build holds the app's key
        if deployment.kind == Kind.DEPLOY:
            step("fetch", lambda: fetch_commit(ctx, platform, deployment.id, log))
            step("build", lambda: build_slug(ctx, platform, deployment.id, log))
        ctx.tx_step("prepare", lambda session: prepare_release(session, platform, deployment.id))
        release = Release.load(platform, deployment.id)
        if deployment.kind == Kind.DEPLOY and "release" in release.process_types:
            step("release", lambda: run_release_command(ctx, platform, release, log))
    # Chosen once and recorded before anything starts: whoever takes over knows every name that may exist.
    ctx.tx_step("choose", lambda session: choose_replicas(session, platform, release))
    step("start", lambda: start(ctx, platform, release, log))
    step("check", lambda: check(ctx, platform, release, log))
    ctx.check_cancelled()
    step("switch", lambda: switch(platform, release, log))
    ctx.tx_step("finish", lambda session: finish(session, platform, deployment.id))
    log(f"       Version {deployment.version} is live.")
