"""Process types that are commands and not processes: left at zero unless somebody asks for them by number."""

from __future__ import annotations

from collections.abc import Sequence

from skypanel.apps.models import App
from skypanel.deployments.models import Replica
from skypanel.deployments.platform import DeploymentLog, Platform
from skypanel.deployments.release import Release
from skypanel.deployments.replicas import gone
from skypanel.deployments.status import WEB
from skypanel.drivers.runtime.port import Container, ContainerStatus


def without_commands(
    platform: Platform, release: Release, waiting: Sequence[Replica], log: DeploymentLog
) -> list[Replica]:
    """`waiting` without those that have ended well and that nobody scaled. Procfiles in the wild name commands among
    their processes (Heroku and Dokku start none but `web` unasked); such a type shall not fail a deployment."""
    staying = []
    for replica in waiting:
        container = None if _asked_for(release, replica) else platform.runtime.get(replica.id)
        if container is not None and ended_well(release, replica, container):
            _rest(platform, release, replica, container)
            log(
                f"       {replica.process_type} ended by itself with exit code 0: taken for a command and left at 0. "
                f"`skypanel scale {release.app.slug} 1 --process {replica.process_type}` keeps one running."
            )
        else:
            staying.append(replica)
    return staying


def ended_well(release: Release, replica: Replica, container: Container | None) -> bool:
    """A command that is done, as opposed to a process that died."""
    done = container is not None and container.status == ContainerStatus.EXITED and container.exit_code == 0
    return done and not _asked_for(release, replica)


def _asked_for(release: Release, replica: Replica) -> bool:
    return replica.process_type == WEB or replica.process_type in release.app.formation


def _rest(platform: Platform, release: Release, replica: Replica, container: Container) -> None:
    now = platform.clock.now()
    at = container.finished_at or now
    with platform.database.transaction() as session:
        gone(session.get_one(Replica, replica.id), at=at)
        app = session.get_one(App, release.app.id)
        app.formation = {**app.formation, replica.process_type: 0}
    release.app.formation = {**release.app.formation, replica.process_type: 0}
    platform.runtime.remove(replica.id)
