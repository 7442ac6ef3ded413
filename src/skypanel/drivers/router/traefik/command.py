"""How the process manager starts the launcher, and how others speak to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from skypanel.drivers.router.traefik import launch
from skypanel.drivers.router.traefik.config import RouterConfig
from skypanel.drivers.router.traefik.processes import Process, alive
from skypanel.drivers.router.traefik.setup import create_log


def launcher_command(config: RouterConfig, *, binary: Path | None = None) -> list[str]:
    """The launcher is run as a file, without site-packages (`-I -S`): it imports the standard library only."""
    command = [sys.executable, "-I", "-S", str(Path(launch.__file__).resolve())]
    command += ["--dir", str(config.directory), "--host", config.host]
    command += ["--http-port", str(config.http_port), "--https-port", str(config.https_port)]
    if config.uid is not None:
        command += ["--uid", str(config.uid), "--gid", str(config.gid if config.gid is not None else config.uid)]
    if binary is not None:
        command += ["--binary", str(binary)]
    return command


def _processes(directory: Path, kind: str) -> list[Process]:
    try:
        state = json.loads((directory / "launcher.json").read_text(encoding="utf-8"))
        found = [(int(pid), str(start)) for pid, start in state[kind]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [process for process in found if alive(process)]


def any_launcher(directory: Path) -> bool:
    """Whether one lives that has written itself down there."""
    return bool(_processes(directory, "launchers"))


def traefiks(directory: Path) -> list[Process]:
    """Those that serve there, and those that serve what they have begun."""
    return _processes(directory, "traefiks")


def reload(directory: Path) -> bool:
    """Replaces Traefik by one that reads static.yml anew, without a lost request. False when no launcher runs."""
    launchers = _processes(directory, "launchers")
    for pid, _ in launchers:
        os.kill(pid, signal.SIGHUP)
    return bool(launchers)


def writers(directory: Path, file: Path) -> list[int]:
    """Traefiks that have that file of theirs open."""
    wanted = file.stat()
    return [pid for pid, _ in traefiks(directory) if _has_open(pid, wanted)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False  # it has ended
    except PermissionError:
        return True  # nobody can tell
    for descriptor in descriptors:
        try:
            if os.path.samestat(descriptor.stat(), wanted):
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def open_anew(pids: Sequence[int]) -> None:
    """Makes these Traefiks write to the file that has the name now."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def rotate(directory: Path, *, uid: int | None = None, gid: int | None = None, to: str = "access.log.1") -> Path:
    """Renames access.log (replacing what is there) and makes Traefik write a new one; returns the renamed file, which
    may get a few more lines until Traefik has noticed."""
    log, old = directory / "access.log", directory / to
    log.rename(old)
    create_log(log, uid=uid, gid=gid)
    open_anew(writers(directory, old))  # the signal would end one that only starts and has not opened it yet
    return old
