"""One container run of a build: its spec, its output into the log, and what its end means."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from skypanel.drivers.builder.port import BuildCancelled, BuildFailed, BuildRequest
from skypanel.drivers.builder.sandbox import scripts
from skypanel.drivers.runtime.port import (
    Bind,
    ContainerKind,
    ContainerSpec,
    Exit,
    Limits,
    RunLimits,
    RunsOneOff,
    RuntimeFailed,
)
from skypanel.kit.secret import Secret, masked

Log = Callable[[str], None]
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")
KEPT_LINES, KEPT_CHARACTERS = 400, 2000  # of the end, to say why it failed


class Containers(RunsOneOff, Protocol):
    """What a builder needs of a runtime: to run a container to its end, and to remove what a dead worker left."""

    def remove(self, container_id: str) -> None: ...


def container_id(build_id: str) -> str:
    return f"build-{build_id.lower()}"


class BuildLog:
    """Hands lines on without the values of variables, whole lines or parts of them."""

    def __init__(self, log: Log, secrets: Sequence[str]) -> None:
        self._log = log
        parts = {part for value in secrets for part in (value, *value.splitlines())}
        self._secrets = sorted((part for part in parts if len(part) >= 6), key=len, reverse=True)
        self.last: deque[str] = deque(maxlen=KEPT_LINES)

    def line(self, text: str) -> None:
        shown = masked(text, self._secrets) if self._secrets else text
        self.last.append(shown[:KEPT_CHARACTERS])
        self._log(shown)

    def output(self, data: bytes) -> None:
        """Of a line that is written over with carriage returns, as progress bars do, what remains."""
        for line in data.decode("utf-8", errors="replace").removesuffix("\n").split("\n"):
            self.line(_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]))


@dataclass(frozen=True)
class Run:
    """`app`: what is /app, writable. `also`: more of what is seen in /app, read-only."""

    script: str
    app: Path
    work: Path
    cache: Path
    uv: Path
    env: Mapping[str, str | Secret]
    toolchains: Sequence[Path] = ()
    also: Sequence[Bind] = field(default_factory=tuple)


CERTIFICATES = (
    "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
    "NPM_CONFIG_CAFILE", "npm_config_cafile",
)  # fmt: skip
SEEN_ANYWAY = ("/usr/", "/etc/ssl/", "/etc/pki/")


def certificates(env: Mapping[str, str]) -> tuple[dict[str, str], list[Bind]]:
    """Files of certificates that variables name, made visible where the container would not have them."""
    changed, binds = dict(env), []
    for name in CERTIFICATES:
        path = Path(env.get(name, ""))
        if path.is_absolute() and path.is_file() and not str(path).startswith(SEEN_ANYWAY):
            target = f"/build/certificates/{name}.pem"
            changed[name] = target
            binds.append(Bind(path, target))
    return changed, binds


def spec(run: Run, request: BuildRequest) -> ContainerSpec:
    limits = request.limits
    return ContainerSpec(
        id=container_id(request.id),
        kind=ContainerKind.BUILD,
        app_id=request.app_id,
        organization_id=request.organization_id,
        name="build",
        command=["bash", f"{scripts.STEPS}/build.sh"],
        env=run.env,
        uid=request.uid,
        limits=Limits(limits.cpu_millis, limits.memory_mb, limits.disk_mb, limits.pids),
        binds=(
            Bind(run.app, "/app", writable=True),
            Bind(run.cache, scripts.CACHE, writable=True),
            Bind(run.work / "steps", scripts.STEPS),
            Bind(run.work / "env", scripts.ENV),
            Bind(run.work / "out", scripts.OUT, writable=True),
            Bind(run.work / "tmp", scripts.TMP, writable=True),
            Bind(run.work / "buildpacks", scripts.BUILDPACKS, writable=True),
            Bind(run.uv.parent, scripts.TOOLS),
            *run.also,
        ),
        toolchains=run.toolchains,
    )


def execute(
    containers: Containers,
    run: Run,
    request: BuildRequest,
    *,
    log: BuildLog,
    cancelled: Callable[[], bool],
    time_left_s: float,
) -> Exit:
    """Returns an Exit that only ended by itself. Raises BuildCancelled, or BuildFailed for every limit."""
    limits = request.limits
    (run.work / "steps" / "build.sh").write_text(run.script)  # a file: an argument may not be longer than 128 KiB
    try:
        end = containers.run(
            spec(run, request),
            limits=RunLimits(time_s=max(1.0, time_left_s), output_bytes=limits.output_bytes),
            on_output=log.output,
            cancelled=cancelled,
            disk_watch=(run.work,) if run.cache.is_relative_to(run.work) else (run.work, run.cache),
        )
    except RuntimeFailed as error:
        raise BuildFailed("sandbox_failed", f"The build's container could not be started: {error}") from error
    if end.cancelled:
        raise BuildCancelled
    failure = _limit(end, request)
    if failure is not None:
        raise failure
    return end


def _limit(end: Exit, request: BuildRequest) -> BuildFailed | None:
    limits = request.limits
    if end.processes_exceeded and end.code != 0:  # whatever it failed of in the end
        return BuildFailed(
            "build_processes",
            f"The build ran more than its {limits.pids} processes at once: make it do less at the same time.",
        )
    if end.timed_out:
        return BuildFailed(
            "build_timeout",
            f"The build took longer than {limits.time_s} s and was stopped: make it faster, or build less.",
        )
    if end.oom_killed:
        return BuildFailed(
            "build_memory",
            f"The build used more than its {limits.memory_mb} MB of memory: reduce what it does at once.",
        )
    if end.disk_exceeded:
        return BuildFailed(
            "build_disk", f"The build used more than its {limits.disk_mb} MB of disk: make it write less."
        )
    if end.output_exceeded:
        return BuildFailed(
            "build_output", f"The build printed more than {limits.output_bytes // 1024} KB: make its tools print less."
        )
    return None
