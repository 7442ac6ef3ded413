"""`skypanel up` and `skypanel down`.

The process manager takes this process's place, so that the lock on the data directory lives exactly as long as it does.
Replicas are never its children: stopping, killing or upgrading the platform touches no app.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from skypanel.drivers.router.traefik.processes import alive as process_lives
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.instance import Instance
from skypanel.manage.choices import router_command
from skypanel.manage.pids import end
from skypanel.manage.preflight import CannotStart, check_containers, check_data_dir, check_ports, holder_of, lock
from skypanel.manage.prepare import prepare
from skypanel.manage.supervisor import programs, render
from skypanel.settings import Settings

PROGRAMS = ("server", "worker", "router")
TRUSTED = (
    "TRUSTED MODE: applications run as plain processes, not isolated from each other; one organization only.\n"
    "Real containers need Linux, root, runc, conmon and nftables: `skypanel doctor` says what is missing."
)


def up(settings: Settings) -> NoReturn:
    """Runs the platform in the foreground. Raises CannotStart."""
    check_data_dir(settings.data_dir)
    check_containers(settings.runtime)
    lock(settings.data_dir)
    remove_leftovers(settings.data_dir, names=("worker", "server"))
    if not router_processes(settings.data_dir):  # it keeps the ports open; the next launcher takes them over from it
        check_ports(settings.host, http_port=settings.http_port, https_port=settings.https_port)
    try:
        instance = prepare(settings)
    except RuntimeFailed as error:
        raise CannotStart(f"The container network cannot be made: {error}") from error
    configuration = write_configuration(settings, instance)
    print(banner(settings), flush=True)
    os.environ.update(child_environment(settings))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "skypanel.manage.supervise", "-n", "-c", str(configuration)])  # noqa: S606


def remove_leftovers(data_dir: Path, *, names: Sequence[str] = PROGRAMS) -> list[str]:
    """Ends processes that outlived a killed process manager. Returns their names. Only ever called while holding the
    lock, or while nobody does."""
    return [name for name in names if end(data_dir / "supervise", name, grace_s=10)]


def router_processes(data_dir: Path) -> list[int]:
    """Living launchers and Traefiks of an earlier start, as the launcher wrote them down."""
    try:
        state = json.loads((data_dir / "router" / "launcher.json").read_text())
        known = [(int(pid), str(start)) for kind in ("launchers", "traefiks") for pid, start in state[kind]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    return [process[0] for process in known if process_lives(process)]


def write_configuration(settings: Settings, instance: Instance) -> Path:
    router = router_command(settings, instance)
    wanted = programs(python=sys.executable, server_port=instance.server_port, router=router)
    user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None
    path = settings.data_dir / "supervise" / "supervisord.conf"
    path.write_text(render(wanted, data_dir=settings.data_dir, user=user, log_level=settings.log_level))
    path.chmod(0o600)
    return path


def child_environment(settings: Settings) -> dict[str, str]:
    """What flags said, as the environment that every process reads its settings from."""
    return {
        "SKYPANEL_DATA_DIR": str(settings.data_dir),
        "SKYPANEL_HOST": settings.host,
        "SKYPANEL_HTTP_PORT": str(settings.http_port),
        "SKYPANEL_HTTPS_PORT": str(settings.https_port),
        "SKYPANEL_RUNTIME": settings.runtime,
    }


def banner(settings: Settings) -> str:
    url = f"http://{settings.dashboard_host}:{settings.http_port}"
    return (f"{TRUSTED}\n" if settings.runtime == "process" else "") + (
        f"SkyPanel starts: {url}  (data and logs in {settings.data_dir}).\n"
        "Ctrl-C stops the platform; applications keep running and are taken up again by the next `skypanel up`."
    )


def down(settings: Settings, *, apps: bool, timeout_s: float = 90) -> bool:
    """Stops the platform of this data directory and, with `apps`, every application's replicas.
    False when it did not run. Raises CannotStart when it does not end."""
    pid = holder_of(settings.data_dir)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while holder_of(settings.data_dir) is not None:
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"Process {pid} did not end within {timeout_s:.0f} s: kill -9 {pid}, then `skypanel up` cleans up."
                )
            time.sleep(0.1)
    remove_leftovers(settings.data_dir)
    for left in router_processes(settings.data_dir):  # the Traefik of a launcher that was killed
        os.kill(left, signal.SIGTERM)
    if apps:
        from skypanel.wiring import work as wiring  # loads every driver, which `down` alone does not need

        wiring.stop_all_containers(settings)
    return pid is not None
