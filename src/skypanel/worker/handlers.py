"""Event -> job, in one visible table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from skypanel.deployments.delete import delete
from skypanel.deployments.deploy import deploy, deploy_given_up
from skypanel.deployments.drain import drain
from skypanel.deployments.mend import mend
from skypanel.deployments.operate import restart, scale, stop
from skypanel.deployments.platform import Platform
from skypanel.deployments.retention import retain
from skypanel.deployments.run import INTERRUPTED, close_run, container_of, run, went_wrong
from skypanel.drivers.machines import Machines
from skypanel.jobs import JobContext, JobKind, Killed
from skypanel.nodes import move
from skypanel.worker.upkeep import Upkeep

# Deploys mostly wait: for a build slot, for a build, for health. Mending has a queue of its own, so that no number of
# them keeps a crashed app from coming back.
QUEUES = {"deploys": 32, "mends": 16, "runs": 16, "drains": 64, "nodes": 2, "upkeep": 2, "billing": 3}


class Books(Protocol):
    """`worker.bookkeeping.Bookkeeper`."""

    def bill(self) -> None: ...

    def keep_volumes(self) -> None: ...

    def handle_payment(self, *, event_id: str) -> None: ...

    def look_for_payments(self) -> None: ...

    def write_to_owners(self, *, organization_id: str, subject: str, text: str) -> None: ...


def handlers(
    platform: Platform, upkeep: Upkeep, machines: Machines, books: Books, *, after: Callable[[], None]
) -> dict[str, JobKind]:
    """`after` is called when a job that may have changed replicas has ended."""

    def on(
        platform_verb: Callable[..., None], *, given_up: Callable[[JobContext, Exception], None] | None = None
    ) -> JobKind:
        def handle(ctx: JobContext, **args: Any) -> None:
            try:
                platform_verb(ctx, platform, **args)
            finally:
                after()

        return JobKind(handle, given_up)

    return {
        "deploy": on(deploy, given_up=lambda ctx, error: deploy_given_up(ctx, platform, error)),
        "app.scale": on(scale),
        "app.restart": on(restart),
        "app.stop": on(stop),
        "app.delete": on(delete),
        "app.mend": on(mend),
        "app.run": on(run, given_up=lambda ctx, error: _run_given_up(ctx, platform, error)),
        "replica.drain": on(drain),
        "app.retention": JobKind(partial(_second, retain, platform)),
        "app.clear_build_cache": JobKind(lambda _ctx, *, app_id: platform.builder.clear_cache(app_id)),
        "node.add": JobKind(
            lambda _ctx, *, name: move.add(platform, machines, name=name),
            lambda ctx, _error: move.interrupted(platform, name=ctx.args["name"]),
        ),
        "node.drain": JobKind(lambda ctx, *, name: move.drain(ctx, platform, machines, name=name)),
        "node.activate": JobKind(lambda _ctx, *, name: move.activate(machines, name=name)),
        "node.remove": JobKind(lambda _ctx, *, name: move.remove(platform, machines, name=name)),
        "billing.run": JobKind(lambda _ctx: books.bill()),
        "billing.volumes": JobKind(lambda _ctx: books.keep_volumes()),
        "payments.event": JobKind(lambda _ctx, *, event_id: books.handle_payment(event_id=event_id)),
        "payments.look": JobKind(lambda _ctx: books.look_for_payments()),
        "mail.owners": JobKind(lambda _ctx, **letter: books.write_to_owners(**letter)),
        "upkeep.jobs": JobKind(lambda _ctx: upkeep.prune_jobs()),
        "upkeep.logs": JobKind(lambda _ctx: upkeep.retain_logs()),
        "upkeep.caches": JobKind(lambda _ctx: upkeep.retain_caches()),
        "upkeep.images": JobKind(lambda ctx: upkeep.sweep_images(ctx.wait)),
        "upkeep.accounts": JobKind(lambda _ctx: upkeep.forget_sessions()),
    }


def _second(verb: Callable[..., Any], platform: Platform, ctx: JobContext, **args: Any) -> Any:
    return verb(ctx, platform, **args)


def _run_given_up(ctx: JobContext, platform: Platform, error: Exception) -> None:
    """A one-off command is never started twice: when its worker died it has failed, and says so."""
    run_id = ctx.args["run_id"]
    why = INTERRUPTED if isinstance(error, Killed) else went_wrong(error)
    platform.runtime.remove(container_of(run_id))
    close_run(platform, run_id, "failed", why)
