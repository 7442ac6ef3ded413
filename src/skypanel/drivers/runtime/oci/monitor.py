"""conmon: one small process per container that owns its output and notes its exit code, and needs nobody of ours."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.drivers.runtime.procfs import ProcessId, identify

LOG_MAX_BYTES = 64 * 1024 * 1024
CREATE_TIMEOUT_S = 60.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Programs:
    conmon: str
    runc: str
    init: Sequence[str]


@dataclass(frozen=True)
class Watched:
    container_id: str
    bundle: Path
    log: Path
    exits: Path
    state: Path  # runc's
    cgroup: str  # conmon's own


def command(programs: Programs, watched: Watched) -> list[str]:
    return [
        programs.conmon, "--cid", watched.container_id, "--cuuid", watched.container_id, "--name", watched.container_id,
        "--runtime", programs.runc, "--runtime-arg", "--root", "--runtime-arg", str(watched.state),
        "--bundle", str(watched.bundle), "--persist-dir", str(watched.bundle),
        "--container-pidfile", str(watched.bundle / "pid"), "--conmon-pidfile", str(watched.bundle / "conmon.pid"),
        "--exit-dir", str(watched.exits), "--socket-dir-path", str(watched.bundle / "sockets"),
        "--log-path", f"k8s-file:{watched.log}", "--log-size-max", str(LOG_MAX_BYTES), "--no-sync-log",
    ]  # fmt: skip


def create(programs: Programs, watched: Watched, *, cgroups: Cgroups) -> int:
    """Starts conmon, which lets runc create the container. Returns the pid of its init, which waits to be started.
    Raises RuntimeFailed with runc's own words."""
    sync_read, sync_write = os.pipe()
    start_read, start_write = os.pipe()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list of ours
                command(programs, watched), pass_fds=(sync_write, start_read), start_new_session=True, cwd="/",
                env={"PATH": SYSTEM_PATH, "_OCI_SYNCPIPE": str(sync_write), "_OCI_STARTPIPE": str(start_read)},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise RuntimeFailed(f"conmon could not be started: {error}; install it (apt-get install conmon)") from error
        finally:
            os.close(sync_write)
            os.close(start_read)
        # conmon waits for the start pipe, so that it and all its children are born into their own cgroup.
        cgroups.join(watched.cgroup, process.pid)
        os.write(start_write, b"\0")
        process.wait(timeout=CREATE_TIMEOUT_S)
        return _answer(sync_read)
    except (subprocess.TimeoutExpired, BrokenPipeError) as error:
        raise RuntimeFailed(f"conmon did not come up: {error}") from error
    finally:
        os.close(sync_read)
        os.close(start_write)


def _answer(pipe: int) -> int:
    deadline = time.monotonic() + CREATE_TIMEOUT_S
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise RuntimeFailed("runc did not create the container in time")
        chunk = os.read(pipe, 65536)
        if not chunk:
            break
        text += chunk
    if not text:
        raise RuntimeFailed("conmon ended without a word; is runc installed?")
    answer = json.loads(text)
    pid = int(answer.get("pid", answer.get("data", -1)))
    if pid <= 0:
        raise RuntimeFailed(f"runc could not create the container: {str(answer.get('message', '')).strip()[-1000:]}")
    return pid


def monitor_of(bundle: Path) -> ProcessId | None:
    try:
        return identify(int((bundle / "conmon.pid").read_text()))
    except (OSError, ValueError):
        return None


def orphans(container_id: str, bundle: Path) -> list[ProcessId]:
    """Monitors of this container that died-in-the-middle starts left, found by their command line."""
    found = []
    marks = {b"--cid", container_id.encode(), str(bundle).encode()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = set((entry / "cmdline").read_bytes().split(b"\0"))
        except OSError:
            continue
        if marks <= arguments and (process := identify(int(entry.name))) is not None:
            found.append(process)
    return found
