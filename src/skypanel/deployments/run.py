"""One-off commands: a fresh container of the current release, its output as the stream `run:<id>`, its exit code."""

from __future__ import annotations

from datetime import datetime

from skypanel.apps.guards import is_suspended
from skypanel.apps.models import App
from skypanel.deployments.cancel_run import RESTS
from skypanel.deployments.errors import DeployFailed
from skypanel.deployments.models import Run
from skypanel.deployments.platform import Platform
from skypanel.deployments.release import Release
from skypanel.drivers.logstore.port import Entry
from skypanel.drivers.runtime.port import ContainerKind, Exit, RunLimits, RuntimeFailed
from skypanel.jobs import Cancelled, JobContext
from skypanel.kit.ids import short

INTERRUPTED = "The platform was restarted while it ran; start it again."


def container_of(run_id: str) -> str:
    return f"run-{short(run_id)}"


def went_wrong(error: object) -> str:
    return f"Something went wrong on the platform's side: {error}"


def run(ctx: JobContext, platform: Platform, *, run_id: str) -> None:
    with platform.database.transaction() as session:
        row = session.get_one(Run, run_id)
        app = session.get_one(App, row.app_id)
        if row.status not in ("queued", "running"):
            return
        if app.deleted_at is not None or is_suspended(session, app.organization_id):
            row.status, row.finished_at = "cancelled", platform.clock.now()
            row.reason = RESTS if app.deleted_at is None else "The app was deleted."
            return
        begun = row.status == "running"
        if not begun:
            row.status, row.started_at = "running", platform.clock.now()
    if begun:  # by an attempt that did not come to its end; a command is never started twice
        platform.runtime.remove(container_of(run_id))
        close_run(platform, run_id, "failed", went_wrong(ctx.job.error) if ctx.job.error else INTERRUPTED)
        return
    sink = _RunLog(platform, app.id, run_id)
    try:
        release = Release.load(platform, row.deployment_id)
        spec = release.spec(container_of(run_id), ContainerKind.RUN, "run.1", row.command)
        limits = RunLimits(platform.rules.run_timeout_s, platform.rules.output_bytes)
        ended = platform.runtime.run(spec, limits=limits, on_output=sink, cancelled=ctx.cancelled)
    except (RuntimeFailed, DeployFailed) as error:
        close_run(platform, run_id, "failed", f"The command could not be started: {error}")
        return
    if ended.cancelled:
        close_run(platform, run_id, "cancelled", "Cancelled.")
        raise Cancelled
    close_run(platform, run_id, "exited", _why(ended, app, limits), exit_code=ended.code)


def _why(ended: Exit, app: App, limits: RunLimits) -> str | None:
    if ended.timed_out:
        return f"It ran longer than {limits.time_s:.0f} s and was ended."
    if ended.oom_killed:
        return f"It needed more than the plan's {app.memory_mb} MB of memory."
    if ended.output_exceeded:
        return f"It printed more than {limits.output_bytes // 1_000_000} MB and was ended."
    return None


def close_run(
    platform: Platform, run_id: str, status: str, reason: str | None, *, exit_code: int | None = None
) -> None:
    """The final state, once."""
    now: datetime = platform.clock.now()
    with platform.database.transaction() as session:
        row = session.get_one(Run, run_id)
        if row.finished_at is None:
            row.status, row.exit_code, row.finished_at = status, exit_code, now
            row.reason = row.reason or reason if status == "cancelled" else reason  # who cancels may have said why


class _RunLog:
    def __init__(self, platform: Platform, app_id: str, run_id: str) -> None:
        self._platform, self._streams = platform, (f"run:{run_id}", f"app:{app_id}")

    def __call__(self, line: bytes) -> None:
        ts_ns = int(self._platform.clock.now().timestamp() * 1_000_000_000)
        entry = Entry(ts_ns, "app", "run.1", "info", line.decode(errors="replace").rstrip("\n"))
        for stream in self._streams:
            self._platform.logs.append(stream, [entry])
