"""A release: slug and variables together, and how its containers are made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skypanel.apps.env import read_snapshot, snapshot
from skypanel.apps.models import App
from skypanel.builds.launch import launch
from skypanel.builds.models import Slug
from skypanel.db import Session
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import Deployment, Kind
from skypanel.deployments.plan import Slot
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.drivers.builder.port import BuildFailed, StoredSlug
from skypanel.drivers.runtime.port import (
    ContainerKind,
    ContainerSpec,
    Group,
    HealthCheck,
    Limits,
    RunLimits,
    RuntimeFailed,
)
from skypanel.jobs import JobContext
from skypanel.kit.ids import as_name, short
from skypanel.kit.secret import Secret


@dataclass(frozen=True)
class Release:
    """Loaded once per job; plain rows, no session behind them."""

    app: App
    deployment: Deployment
    slug: Slug
    layers: Sequence[Path]
    variables: Mapping[str, str]
    image: str | None = None  # the layers are in it

    @property
    def process_types(self) -> Mapping[str, str]:
        return self.slug.process_types

    @staticmethod
    def load(platform: Platform, deployment_id: str) -> Release:
        """Raises DeployFailed `slug_lost` when its files cannot be had any more."""
        with platform.database.reading() as session:
            deployment = session.get_one(Deployment, deployment_id)
            app = session.get_one(App, deployment.app_id)
            slug = session.get_one(Slug, deployment.slug_id)
            variables = (
                read_snapshot(session, platform.vault, deployment.env_snapshot_id) if deployment.env_snapshot_id else {}
            )
        layers: Sequence[Path] = ()
        try:
            image = platform.builder.image(app.id, app.uid, StoredSlug(slug.digest, slug.layers, slug.toolchains))
            if image is None:
                layers = platform.builder.ensure(app.id, app.uid, slug.digest, slug.layers)
        except OSError as error:
            raise DeployFailed("slug_lost", "The slug's files cannot be read; deploy this commit again.") from error
        except BuildFailed as error:
            raise DeployFailed(error.code, str(error)) from error
        return Release(app, deployment, slug, layers, variables, image)

    def spec(
        self, container_id: str, kind: ContainerKind, name: str, command: str, *, care: Care | None = None
    ) -> ContainerSpec:
        """The container of one process of this release. The app's own variables win over the buildpack's defaults;
        the system's win over both. `care`: of a replica, for runtimes that look after them by themselves."""
        process_type = name.split(".")[0]
        environment: dict[str, str | Secret] = dict(self.slug.config_vars)
        environment.update({key: Secret(value) for key, value in self.variables.items()})
        environment.update(
            DYNO=name,
            PS=process_type,
            SKYPANEL_APP=self.app.slug,
            SKYPANEL_RELEASE=f"v{self.deployment.version}",
            SOURCE_VERSION=self.deployment.commit or "",
        )
        return ContainerSpec(
            id=container_id,
            kind=kind,
            app_id=self.app.id,
            organization_id=self.app.organization_id,
            name=name,
            command=launch(command),
            env=environment,
            uid=self.app.uid,
            limits=Limits(self.app.cpu_millis, self.app.memory_mb, self.app.disk_mb),
            layers=self.layers,
            toolchains=[Path(prefix) for prefix in self.slug.toolchains],
            port=kind == ContainerKind.REPLICA and process_type == "web",
            image=self.image,
            group=care.group if care else None,
            health=care.health if care else None,
            drain_s=care.drain_s if care else 0,
            grace_s=care.grace_s if care else 10,
        )

    def care(self, platform: Platform, slot: Slot, *, size: int) -> Care:
        """How a replica at this slot, one of `size`, is looked after."""
        app, rules = self.app, platform.rules
        name = f"{short(app.id)}-v{self.deployment.version}g{app.generation}-{as_name(slot.process_type)}"
        health = HealthCheck(
            path=app.health_path if app.health_type == "http" else None,
            host=platform.app_host(app.slug),
            interval_s=app.health_interval_s,
            timeout_s=app.health_timeout_s,
            retries=app.health_retries,
            start_s=int(rules.health_deadline_s),
        )
        return Care(
            Group(name, slot.position, size), health if slot.process_type == "web" else None,
            int(rules.drain_timeout_s), int(rules.stop_grace_s),
        )  # fmt: skip


@dataclass(frozen=True)
class Care:
    group: Group
    health: HealthCheck | None
    drain_s: int
    grace_s: int


def prepare_release(session: Session, platform: Platform, deployment_id: str) -> None:
    """Fixes slug and variables of this release, now that its turn has come: an environment change is one of the
    release that is current today, not of the one when it was asked for."""
    deployment = session.get_one(Deployment, deployment_id)
    app = session.get_one(App, deployment.app_id)
    if deployment.kind == Kind.ROLLBACK:
        deployment.rolled_back_from = app.current_version
    if deployment.kind == Kind.ENV:
        _of_current(deployment, session.get_one(Deployment, app.current_deployment_id))
    if not (deployment.restore_env and deployment.env_snapshot_id is not None):
        deployment.env_snapshot_id = snapshot(session, app=app, vault=platform.vault, now=platform.clock.now()).id


def _of_current(deployment: Deployment, current: Deployment) -> None:
    deployment.slug_id, deployment.branch = current.slug_id, current.branch
    deployment.commit, deployment.commit_message = current.commit, current.commit_message
    deployment.commit_author = current.commit_author
    deployment.build_log_of = current.build_log_of or current.id


def run_release_command(ctx: JobContext, platform: Platform, release: Release, log: DeploymentLog) -> None:
    """`release:` once, before any traffic moves. Raises DeployFailed `release_failed`."""
    command = release.process_types["release"]
    log(f"-----> Running the release command: {command}")
    spec = release.spec(f"release-{short(release.deployment.id)}", ContainerKind.RELEASE, "release.1", command)
    limits = RunLimits(platform.rules.release_command_timeout_s, platform.rules.output_bytes)
    try:
        exit_ = platform.runtime.run(
            spec,
            limits=limits,
            on_output=lambda line: log(line.decode(errors="replace").rstrip("\n")),
            cancelled=ctx.cancelled,
        )
    except RuntimeFailed as error:
        raise DeployFailed("release_failed", f"The release command could not be started: {error}") from error
    if exit_.cancelled:
        ctx.check_cancelled()
    if exit_.timed_out:
        raise DeployFailed(
            "release_timeout",
            f"The release command ran longer than {limits.time_s:.0f} s and was ended; make it shorter.",
        )
    if exit_.oom_killed:
        raise DeployFailed(
            "release_memory",
            f"The release command needed more than the plan's {release.app.memory_mb} MB; choose a larger plan.",
        )
    if exit_.code != 0:
        raise DeployFailed(
            "release_failed", f"The release command exited with {exit_.code}; its output is in the deployment's log."
        )
