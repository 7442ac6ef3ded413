"""The verbs of the port on Docker Swarm: one service per release and process type, its tasks claimed by replicas."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skypanel.drivers.engine.client import EngineFailed
from skypanel.drivers.runtime.exits import checked_id
from skypanel.drivers.runtime.port import (
    DEFAULT_PORT,
    Container,
    ContainerKind,
    ContainerSpec,
    ContainerStatus,
    Exit,
    RunLimits,
    RuntimeFailed,
)
from skypanel.drivers.runtime.swarm import names, scripts
from skypanel.drivers.runtime.swarm.api import Claims, Service, SwarmApi
from skypanel.drivers.runtime.swarm.claims import Claim, exchange, free_task, leave
from skypanel.drivers.runtime.swarm.logs import TaskLogs
from skypanel.drivers.runtime.swarm.networks import Networks
from skypanel.drivers.runtime.swarm.oneoff import run_to_end
from skypanel.drivers.runtime.swarm.service import Reserved, Surroundings, content_of, service, variables
from skypanel.drivers.runtime.swarm.tasks import KILLED, LOST, NEVER, WROTE_TOO_MUCH, Task, reason, why_waiting

CLAIM_S = 10.0  # the swarm makes tasks within milliseconds; a manager without a leader takes longer
LOOK_S = 0.05
EXITS_EVERY_S = 0.5
UNCLAIMED_S = 60.0  # a task that no replica has wanted for so long is one too many
KILL_S = 20.0
LOST_EVERY_S = 2.0
STRAY = "stray-"


@contextmanager
def told() -> Iterator[None]:
    """What the engine refuses, in this port's words."""
    try:
        yield
    except EngineFailed as error:
        raise RuntimeFailed(f"Docker: {error}") from error


class SwarmRuntime:
    name = "swarm"
    trusted = False
    heals = True

    def __init__(
        self, *, api: SwarmApi, spool: Path, image: str, node: str, reserved: Reserved | None = None,
        collects: Callable[[], bool] = lambda: True, enter: Callable[[str], bool] = lambda _network: False,
    ) -> None:  # fmt: skip
        """`image`: the stack's, for containers without one of their own. `node`: host name of the machine this runs
        on. `collects`: whether this copy follows the tasks' output. `enter`: see `Networks`. Touches nothing yet."""
        self.node, self._api = node, api
        self.networks = Networks(api, enter)
        self._image, self._reserved = image, reserved or Reserved()
        self._logs = TaskLogs(api.engine, spool)
        self._collects = collects
        self._making = threading.Lock()
        self._reported: set[str] = set()
        self._places: dict[str, str | None] = {}
        self._closed = threading.Event()
        self._nodes: dict[str, str] = {}
        self._own_node: str | None = None

    def prepare(self) -> None:
        with told():
            self._api.forget_networks()
            self._nodes = self._api.nodes()

    def start(self, spec: ContainerSpec) -> Container:
        checked_id(spec.id)
        with told():
            around = self._around(spec)
            with self._making:  # replicas of one service are started beside each other
                found = self._api.service(names.service_name(around.instance, spec))
                if found is not None and self._is_other(found, spec, around):
                    self._remove_whole(found)
                    found = None
                if found is None:
                    found = self._create(spec, around)
            if spec.id in found.claims:
                found = self._drop_claim(found, spec.id) or found
            claimed = self._claim(found, spec)
            self._reported.discard(spec.id)
            container = self._container(claimed, spec.id, claimed.claims[spec.id], self._tasks_of(claimed))
        if self._collects() and spec.kind == ContainerKind.REPLICA:
            self._logs.follow(spec.id, claimed.claims[spec.id].task)
        return container

    def _is_other(self, found: Service, spec: ContainerSpec, around: Surroundings) -> bool:
        """Left over from something else. What others have claims in stays as it is, even where a plan has changed."""
        tasks = self._tasks_of(found)
        others = (i for i, claim in found.claims.items() if i != spec.id and self._lives(claim, tasks))
        return found.labels.get(names.CONTENT) != content_of(spec, around) and not any(others)

    def _around(self, spec: ContainerSpec) -> Surroundings:
        local = any(bind.source for bind in spec.binds) or (spec.toolchains and spec.image is None)
        if local and self._own_node is None:
            self._own_node = self._api.own_node()
        return Surroundings(
            instance=self._api.instance, image=self._image, reserved=self._reserved,
            network=self.networks.of(spec.organization_id, reached=spec.kind == ContainerKind.REPLICA),
            node=self._own_node if local else None, no_new_privileges=self._api.engine.speaks(1, 44),
        )  # fmt: skip

    def _create(self, spec: ContainerSpec, around: Surroundings) -> Service:
        name = names.service_name(around.instance, spec)
        secret = names.secret_name(name)
        secret_id = self._api.secret(secret, variables(spec))
        replicas = spec.group.size if spec.group else 1
        made = service(spec, around, secret=(secret_id, secret), labels={}, replicas=replicas)
        try:
            self._api.create(made)
        except RuntimeFailed:
            self._api.forget_secret(secret)
            raise
        found = self._api.service(name)
        if found is None:
            raise RuntimeFailed(f"{spec.id} was removed while it started")
        return found

    def _claim(self, found: Service, spec: ContainerSpec) -> Service:
        position = spec.group.position if spec.group else 1
        deadline = time.monotonic() + CLAIM_S
        while time.monotonic() < deadline:
            tasks = self._tasks_of(found)

            def take(current: Service, tasks: dict[str, Task] = tasks) -> Claims:
                task = free_task(list(tasks.values()), current.claims, position)
                return {} if task is None else {spec.id: self._claimed(current, task, spec.name)}

            if (changed := self._api.change(found, take)) is not None:
                return changed

            def more(current: Service, tasks: dict[str, Task] = tasks) -> int | None:
                wanted = 1 + len(self._others(current, (), tasks))
                # With some dead the swarm may have given up on them: it looks again after any update.
                some_dead = sum(1 for task in tasks.values() if task.live) < current.replicas
                return max(wanted, current.replicas) if current.replicas < wanted or some_dead else None

            self._api.scale(found, more)
            time.sleep(LOOK_S / 2)
            current = self._api.service(found.id)
            if current is None:
                raise RuntimeFailed(f"{spec.id} was removed while it started")
            found = current
        tasks = self._tasks_of(found)
        if not any(self._lives(claim, tasks) for claim in found.claims.values()):
            self._remove_whole(found)
        if any(task.live and not task.addresses for task in tasks.values()):
            raise RuntimeFailed("the network of its organization has no free address left")
        raise RuntimeFailed("the swarm makes no task for it; its managers may have lost their majority")

    def _claimed(self, found: Service, task: Task, name: str) -> Claim:
        network = found.spec["TaskTemplate"]["Networks"][0]["Target"]
        return Claim(
            task.id, name, address=task.addresses.get(network), node=task.node, began=task.created_at.isoformat()
        )

    def _lives(self, claim: Claim, tasks: dict[str, Task]) -> bool:
        task = tasks.get(claim.task)
        return claim.ended is None and task is not None and task.live

    def _tasks_of(self, found: Service) -> dict[str, Task]:
        return {task.id: task for task in self._api.tasks(found.id)}

    def stop(self, container_id: str, *, grace_s: float) -> None:  # noqa: ARG002 - the service has it
        checked_id(container_id)
        with told():
            found = self._api.service_of(container_id)
            if found is None or found.claims[container_id].ended is not None:
                return
            if self._lives(found.claims[container_id], self._tasks_of(found)):
                self._fewer(found, {container_id})
            self._await_end(found, container_id, limit_s=self._patience(found))

    def retire(self, container_ids: Collection[str]) -> None:
        left = {checked_id(each) for each in container_ids}
        with told():
            while left:
                found = self._api.service_of(next(iter(left)))
                leaving = left & found.claims.keys() if found is not None else set()
                if found is not None:
                    self._fewer(found, leaving)
                left -= leaving or {next(iter(left))}

    def _others(self, found: Service, leaving: Collection[str], tasks: dict[str, Task]) -> Sequence[str]:
        found_claims = found.claims.items()
        return [i for i, c in found_claims if i not in leaving and not c.leaving and self._lives(c, tasks)]

    def _fewer(self, found: Service, leaving: Collection[str]) -> None:
        """Fewer tasks; when the swarm ends those of other replicas, they exchange theirs with the leaving ones. Who
        leaves is marked before the number is taken from those that are not: others may be leaving at the same time."""

        def fewer(current: Service) -> int | None:
            wanted = len(self._others(current, leaving, self._tasks_of(current)))
            return wanted if wanted < current.replicas else None

        found = self._api.change(found, lambda current: leave(current.claims, leaving)) or found
        self._api.scale(found, fewer)
        deadline = time.monotonic() + CLAIM_S
        while time.monotonic() < deadline:
            current = self._api.service(found.id)
            if current is None or current.replicas == 0:
                return
            if sum(1 for task in self._tasks_of(current).values() if task.live) <= current.replicas:
                self._exchange(current)
                return
            time.sleep(LOOK_S)

    def _exchange(self, found: Service) -> None:
        tasks = self._tasks_of(found)
        self._api.change(found, lambda now: exchange(now.claims, tasks))

    def _patience(self, found: Service) -> float:
        grace = found.spec["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod", 10**10) / 1e9
        return float(grace) + KILL_S

    def _await_end(self, found: Service, container_id: str, *, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        last: Task | None = None
        look_at = time.monotonic() + LOST_EVERY_S
        while True:
            current = self._api.service(found.id)
            if current is None or container_id not in current.claims:
                return
            task = self._api.task(current.claims[container_id].task)
            if task is None or task.over:
                self._logs.complete(container_id)
                tasks = {each.id: each for each in (task or last,) if each is not None}
                self._record_end(current, container_id, tasks)
                return
            last = task
            if task.live and current.claims[container_id].leaving:
                self._exchange(current)  # two that left at once may each have seen only their own part
            if time.monotonic() > look_at:  # not at once: asking costs as much as all of the rest
                look_at = time.monotonic() + LOST_EVERY_S
                if task.node and self._api.lost(task.node):
                    self._record_end(current, container_id, {task.id: task})
                    return
            if time.monotonic() > deadline:
                raise RuntimeFailed(f"{container_id} does not end; its machine may be lost")
            time.sleep(LOOK_S)

    def _record_end(self, found: Service, container_id: str, tasks: dict[str, Task]) -> Service | None:
        """The end of a claim's task, while the swarm still knows it."""

        def ended(current: Service) -> Claims:
            claim = current.claims.get(container_id)
            if claim is None or claim.ended is not None:
                return {}
            return {container_id: self._ended(claim, tasks.get(claim.task))}

        return self._api.change(found, ended)

    def _ended(self, claim: Claim, task: Task | None) -> Claim:
        if task is None:
            return replace(claim, code=KILLED, ended=datetime.now(UTC).isoformat())
        why = reason(task.error) if task.over else LOST
        if task.exit_code is None and not task.container and why is None:
            why = NEVER
        return replace(claim, code=task.exit_code, ended=task.changed_at.isoformat(), reason=why, node=task.node)

    def remove(self, container_id: str) -> None:
        checked_id(container_id)
        with told():
            found = self._api.service_of(container_id)
            if found is None:
                if container_id.startswith(STRAY):
                    self._remove_stray(container_id.removeprefix(STRAY))
                self._logs.complete(container_id)
                return
            if all(claim.ended is not None for i, claim in found.claims.items() if i != container_id):
                self._remove_whole(found)
            else:
                if self._lives(found.claims[container_id], self._tasks_of(found)):
                    self._fewer(found, {container_id})
                self._await_end(found, container_id, limit_s=self._patience(found))
                self._drop_claim(found, container_id)
        self._logs.complete(container_id)
        self._reported.discard(container_id)

    def _drop_claim(self, found: Service, container_id: str) -> Service | None:
        return self._api.change(found, lambda current: {container_id: None} if container_id in current.claims else {})

    def _remove_whole(self, found: Service) -> None:
        """The service, and waits until none of its tasks is alive."""
        self._await_forgotten(found)
        tasks = self._tasks_of(found)
        self._api.remove(found)
        deadline = time.monotonic() + self._patience(found)
        running = {task.id for task in tasks.values() if not task.over and task.container}
        while running and time.monotonic() < deadline:
            running = {i for i in running if (task := self._api.task(i)) is not None and not task.over}
            if running:
                time.sleep(LOOK_S)
        self._api.forget_secret(names.secret_name(found.name))

    def _await_forgotten(self, found: Service) -> None:
        """Until Swarm has forgotten the tasks that were told to go. One that it forgets in the very moment in which its
        service is removed crashes the leading manager's engine (seen with 20.10: SetServiceTasksRemove)."""
        deadline = time.monotonic() + self._patience(found)
        look_at = time.monotonic() + LOST_EVERY_S
        while time.monotonic() < deadline:
            going = [task for task in self._tasks_of(found).values() if task.wanted == "remove"]
            if not going:
                return
            if time.monotonic() > look_at:
                look_at = time.monotonic() + LOST_EVERY_S
                if not any(task.over for task in going) and all(self._api.lost(task.node) for task in going):
                    return
            time.sleep(LOOK_S)

    def _remove_stray(self, task_id: str) -> None:
        task = self._api.task(task_id)
        for found in self._api.services() if task is not None else ():
            tasks = self._tasks_of(found)
            if task_id not in tasks:
                continue
            live = sum(1 for claim in found.claims.values() if self._lives(claim, tasks))
            if live == 0:
                self._remove_whole(found)
            else:
                changed = self._api.scale(found, lambda _, live=live: live)  # type: ignore[misc]
                if changed is not None:
                    time.sleep(LOOK_S)
                    self._settle(changed)

    def _settle(self, found: Service) -> None:
        """After the swarm has ended a task of its own choice: who has lost his takes over the stray one."""
        tasks = self._tasks_of(found)
        for container_id, claim in found.claims.items():
            task = tasks.get(claim.task)
            if claim.ended is None and task is not None and not task.over and not task.live:
                spare = free_task(list(tasks.values()), found.claims, 0)
                if spare is not None:
                    fresh = replace(self._claimed(found, spare, claim.name), began=claim.began)
                    self._api.change(found, lambda _, i=container_id, c=fresh: {i: c})  # type: ignore[misc]
                    return

    def get(self, container_id: str) -> Container | None:
        checked_id(container_id)
        with told():
            found = self._api.service_of(container_id)
            if found is None:
                return None
            claim = found.claims[container_id]
            task = None if claim.ended is not None else self._api.task(claim.task)
            return self._container(found, container_id, claim, {claim.task: task} if task else {})

    def _container(self, found: Service, container_id: str, claim: Claim, tasks: dict[str, Task]) -> Container:
        task = tasks.get(claim.task)
        lives = claim.ended is None and task is not None and task.live
        if claim.ended is None and not lives:
            claim = self._ended(claim, task)
            if task is None or task.over:
                self._record_end(found, container_id, tasks)
        labels = found.labels
        said = self._last_words(container_id, claim)
        return Container(
            id=container_id, kind=ContainerKind(labels[names.KIND]), app_id=labels[names.APP],
            organization_id=labels[names.ORGANIZATION], name=claim.name,
            status=ContainerStatus.RUNNING if lives else ContainerStatus.EXITED,
            address=claim.address, port=DEFAULT_PORT if labels.get(names.SERVES) == "yes" else None,
            log=self._logs.path(container_id), log_format="k8s",
            started_at=datetime.fromisoformat(claim.began) if claim.began else None,
            finished_at=datetime.fromisoformat(claim.ended) if claim.ended else None,
            exit_code=claim.code, oom_killed=scripts.OUT_OF_MEMORY in said,
            node=self._node_name(task.node if task is not None else claim.node),
            displaced=not lives and claim.reason in (LOST, NEVER),
            reason=WROTE_TOO_MUCH if scripts.DISK_FULL in said else claim.reason or why_waiting(task),
        )  # fmt: skip

    def _last_words(self, container_id: str, claim: Claim) -> Sequence[str]:  # which say by what limit it was killed
        return self._logs.last_lines(container_id, claim.task, 3) if claim.code == KILLED else ()

    def _node_name(self, node_id: str) -> str:
        if node_id and node_id not in self._nodes:
            self._nodes = self._api.nodes()
        return self._nodes.get(node_id, "")

    def list(self) -> Sequence[Container]:
        with told():
            services = self._api.services()
            tasks = {task.id: task for task in self._api.tasks()}
            found = [
                self._container(each, container_id, claim, tasks)
                for each in services
                for container_id, claim in sorted(each.claims.items())
            ]
            found += self._strays(services, tasks)
            for secret in self._api.leftover_secrets(services):
                self._api.forget_secret(secret)
        if self._collects():
            self._follow_all(services, tasks)
        return tuple(found)

    def _strays(self, services: Sequence[Service], tasks: dict[str, Task]) -> Iterator[Container]:
        """Tasks that no replica has claimed for long: after a crash, or of a replica that nobody wants any more."""
        claimed = {claim.task for each in services for claim in each.claims.values()}
        oldest = datetime.now(UTC).timestamp() - UNCLAIMED_S
        owners = {each.id: each for each in services}
        for task in tasks.values():
            owner = owners.get(task.service)
            if task.live and task.id not in claimed and task.created_at.timestamp() < oldest and owner is not None:
                claim = Claim(task.id, owner.labels[names.PROCESS], began=task.created_at.isoformat())
                yield self._container(owner, f"{STRAY}{task.id}", claim, tasks)

    def _follow_all(self, services: Sequence[Service], tasks: dict[str, Task]) -> None:
        for each in services:
            if each.labels.get(names.KIND) == ContainerKind.REPLICA:
                for container_id, claim in each.claims.items():
                    if self._lives(claim, tasks):
                        self._logs.follow(container_id, claim.task)

    def wait_for_exits(self, timeout_s: float) -> Sequence[str]:
        """The engine has no events for the tasks of other machines: they are looked at, twice a second. Replicas that
        got another container are among them."""
        deadline = time.monotonic() + timeout_s
        while True:
            with told():
                found = self._news()
            if found or time.monotonic() >= deadline or self._closed.is_set():
                return found
            self._closed.wait(min(EXITS_EVERY_S, max(0.0, deadline - time.monotonic())))

    def _news(self) -> Sequence[str]:
        services = [s for s in self._api.services() if s.labels[names.KIND] == ContainerKind.REPLICA]
        tasks = {task.id: task for task in self._api.tasks()}
        dead = {i for each in services for i, claim in each.claims.items() if not self._lives(claim, tasks)}
        places = {i: claim.address for each in services for i, claim in each.claims.items()}
        moved = {i for i, address in places.items() if self._places.get(i, address) != address}
        news = sorted((dead - self._reported) | moved)
        self._reported, self._places = dead, places
        return news

    def open_connections(self, container_id: str) -> int:  # noqa: ARG002
        """None to wait for: a task's own init lets open requests end before it passes SIGTERM on."""
        return 0

    def listening(self, container_id: str) -> Sequence[str]:  # noqa: ARG002
        return ()

    def last_lines(self, container_id: str, count: int) -> Sequence[str]:
        checked_id(container_id)
        with told():
            found = self._api.service_of(container_id)
            task = found.claims[container_id].task if found is not None else ""
            return self._logs.last_lines(container_id, task, count)

    def run(
        self,
        spec: ContainerSpec,
        *,
        limits: RunLimits,
        on_output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        disk_watch: Sequence[Path] = (),
    ) -> Exit:
        checked_id(spec.id)
        self.remove(spec.id)
        try:
            self.start(spec)
            with told():
                found = self._api.service_of(spec.id)
                if found is None:
                    raise RuntimeFailed(f"{spec.id} was removed while it started")
                return run_to_end(
                    self._api, found.claims[spec.id].task, spec, limits=limits, on_output=on_output,
                    cancelled=cancelled, disk_watch=disk_watch, end=lambda: self.remove(spec.id),
                )  # fmt: skip
        finally:
            self.remove(spec.id)

    def close(self) -> None:
        """Lets go of what this object holds; containers go on."""
        self._closed.set()
        self._logs.close()
        self._api.engine.close()

    def destroy(self) -> None:
        """Removes every service and network: the platform is being uninstalled."""
        with told():
            for found in self._api.services():
                self._api.remove(found)
            deadline = time.monotonic() + KILL_S
            while any(not task.over for task in self._api.tasks()) and time.monotonic() < deadline:
                time.sleep(LOOK_S)
            for secret in self._api.leftover_secrets(()):
                self._api.forget_secret(secret)
