"""Who is who: processes by pid and start time, and the launcher's one-line messages. Standard library only."""

from __future__ import annotations

import sys

Process = tuple[int, str]  # pid and start time: a pid alone may be another process by now


class CannotStart(Exception):
    """One line for the operator."""


def say(text: str) -> None:
    sys.stderr.write(f"router: {text}\n")
    sys.stderr.flush()


def start_time(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat; "" when there is no such process (or no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as stream:  # noqa: PTH123 - pathlib costs memory here
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def alive(process: Process) -> bool:
    return process[1] != "" and start_time(process[0]) == process[1]
