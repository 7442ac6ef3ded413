"""The process manager's configuration as a value: three programs, each restarted alone, logs rotated by size."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG_BYTES = 10_000_000
_LOG_BACKUPS = 3


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]
    priority: int  # started in rising order, stopped in falling order
    stop_wait_s: int


def programs(*, python: str, server_port: int, router: Sequence[str]) -> list[Program]:
    """The router starts first and stops last, so that apps answer as long as possible. Replicas are nobody's children:
    none of these takes them along when it ends."""
    server = [
        python, "-P", "-m", "uvicorn", "skypanel.server:create_app", "--factory", "--host", "127.0.0.1",
        "--port", str(server_port),
        "--no-proxy-headers", "--no-server-header", "--no-access-log",
        "--log-level", "warning", "--timeout-graceful-shutdown", "5",
    ]  # fmt: skip
    return [
        Program("router", _launched("router", python, router), priority=10, stop_wait_s=15),
        Program(
            "worker",
            _launched("worker", python, [python, "-P", "-m", "skypanel.manage.worker"]),
            priority=20,
            stop_wait_s=30,
        ),
        Program("server", _launched("server", python, server), priority=30, stop_wait_s=15),
    ]


def _launched(name: str, python: str, program: Sequence[str]) -> list[str]:
    return [python, "-P", "-m", "skypanel.manage.launch", name, "--", *program]


def render(wanted: Sequence[Program], *, data_dir: Path, user: str | None, log_level: str = "info") -> str:
    """supervisord.conf. `user`: what it stays as when started by root (it warns otherwise)."""
    log = data_dir / "log"
    main = {
        "nodaemon": "true",
        "logfile": log / "supervisor.log",
        "logfile_maxbytes": _LOG_BYTES,
        "logfile_backups": _LOG_BACKUPS,
        "loglevel": {"warning": "warn"}.get(log_level, log_level),
        "pidfile": data_dir / "supervise" / "supervisord.pid",
        "childlogdir": log,
        "directory": data_dir,
        "umask": "022",
    }
    if user is not None:
        main["user"] = user
    sections = [_section("supervisord", main)]
    for program in wanted:
        sections.append(_section(f"program:{program.name}", {
            "command": shlex.join(program.command),
            "priority": program.priority,
            "autostart": "true",
            "autorestart": "true",
            "startsecs": 2,
            "startretries": 1_000_000,
            "stopsignal": "TERM",
            "stopwaitsecs": program.stop_wait_s,
            "redirect_stderr": "true",
            "stdout_logfile": log / f"{program.name}.log",
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": _LOG_BACKUPS,
        }))  # fmt: skip
    return "\n".join(sections)


def _section(name: str, values: dict[str, object]) -> str:
    lines = [f"{key}={str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
